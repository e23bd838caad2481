use super::*;

fn smol() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 576,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": 1536,
        "is_llama_config": true,
        "max_position_embeddings": 8192,
        "model_type": "llama",
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_interleaved": false,
        "rope_scaling": null,
        "rope_theta": 100000,
        "tie_word_embeddings": true,
        "torch_dtype": "bfloat16",
        "use_cache": true,
        "vocab_size": 49152
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut config = smol();
    config[key] = value;
    config
}

fn read(config: &Value) -> Result<Arch, ModelError> {
    Arch::from_config(config, Path::new("m/config.json"))
}

#[test]
fn the_transformers_4_form_is_read() {
    let arch = read(&smol()).unwrap();
    let expected = Arch {
        family: "llama".to_owned(),
        width: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_width: 64,
        mlp_width: 1536,
        vocabulary: 49152,
        context: 8192,
        norm_epsilon: 1e-5,
        rope_theta: 1e5,
        tied: true,
    };
    assert_eq!(arch, expected);
}

#[test]
fn the_transformers_5_form_is_read() {
    let mut config = with("rope_parameters", json!({"rope_theta": 1e5, "rope_type": "default"}));
    config.as_object_mut().unwrap().remove("rope_theta");
    config.as_object_mut().unwrap().remove("rope_scaling");
    config["layer_types"] = json!(["full_attention", "full_attention"]);
    config["dtype"] = json!("bfloat16");
    assert_eq!(read(&config).unwrap(), read(&smol()).unwrap());
}

#[test]
fn absent_keys_have_the_defaults_of_transformers() {
    let mut config = smol();
    for key in
        ["num_key_value_heads", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "hidden_act"]
    {
        config.as_object_mut().unwrap().remove(key);
    }
    let arch = read(&config).unwrap();
    assert_eq!((arch.kv_heads, arch.tied), (9, false));
    assert_eq!((arch.norm_epsilon, arch.rope_theta), (1e-6, 1e4));
}

#[test]
fn what_is_written_reads_back() {
    let ids = SpecialIds { begin: Some(1), end: vec![2, 5], pad: None };
    let arch = read(&smol()).unwrap();
    let config = arch.to_config(&ids);
    assert_eq!(read(&config).unwrap(), arch);
    assert_eq!(SpecialIds::from_config(&config, Path::new("c")).unwrap(), ids);
    assert_eq!(config["rms_norm_eps"].to_string(), "0.00001");
    assert_eq!(config["eos_token_id"], json!([2, 5]));
    let generation = ids.to_generation_config();
    assert_eq!(generation, json!({"bos_token_id": 1, "eos_token_id": [2, 5]}));
    for family in FAMILIES {
        let of_family = Arch { family: family.name.to_owned(), ..arch.clone() };
        let config = of_family.to_config(&SpecialIds::default());
        assert_eq!(config["architectures"], json!([family.architecture]));
        assert_eq!(read(&config).unwrap(), of_family);
    }
}

/// A key, a value as JSON, and what the refusal says.
const REFUSALS: [(&str, &str, &str); 20] = [
    ("attention_bias", "true", "`attention_bias` is true; supported: false"),
    ("mlp_bias", "true", "`mlp_bias` is true; supported: false"),
    ("hidden_act", "\"gelu\"", "`hidden_act` is \"gelu\"; supported: \"silu\" or \"swish\""),
    ("sliding_window", "4096", "`sliding_window` is 4096; supported: null"),
    ("rope_interleaved", "true", "`rope_interleaved` is true; supported: false"),
    (
        "rope_scaling",
        r#"{"rope_type": "llama3", "factor": 8.0}"#,
        "`rope_scaling.rope_type` is \"llama3\"; supported: \"default\"",
    ),
    (
        "rope_scaling",
        r#"{"type": "linear", "factor": 2.0}"#,
        "`rope_scaling.type` is \"linear\"; supported: \"default\"",
    ),
    (
        "rope_parameters",
        r#"{"rope_type": "yarn", "rope_theta": 1e4}"#,
        "`rope_parameters.rope_type` is \"yarn\"; supported: \"default\"",
    ),
    (
        "rope_parameters",
        r#"{"full_attention": {"rope_type": "default"}}"#,
        "`rope_parameters.full_attention` is {\"rope_type\":\"default\"}",
    ),
    (
        "layer_types",
        r#"["full_attention", "sliding_attention"]"#,
        "`layer_types` is \"sliding_attention\"; supported: \"full_attention\"",
    ),
    ("quantization_config", r#"{"bits": 4}"#, "`quantization_config` is {\"bits\":4}"),
    ("hidden_size", "0", "`hidden_size` is 0; supported: a whole number in 1..="),
    ("hidden_size", "\"wide\"", "`hidden_size` is \"wide\"; supported: a whole number in 1..="),
    ("num_key_value_heads", "4", "supported: a divisor of num_attention_heads (9)"),
    ("head_dim", "63", "`head_dim` is 63; supported: an even number"),
    ("rope_theta", "-1.0", "`rope_theta` is -1.0; supported: a positive number"),
    ("num_hidden_layers", "1000000", "1000000 layers"),
    ("model_type", "\"lama\"", "hint: the nearest known family is `llama`"),
    ("model_type", "null", "`model_type` is missing"),
    ("vocab_size", "null", "`vocab_size` is missing"),
];

#[test]
fn what_the_decoder_cannot_do_is_refused_by_key_and_value() {
    for (key, value, expected) in REFUSALS {
        let value = serde_json::from_str(value).unwrap();
        let message = read(&with(key, value)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\nlacks: {expected}");
        assert!(message.contains("m/config.json"), "{message}");
    }
    assert!(read(&json!([])).unwrap_err().to_string().contains("expected a JSON object"));
}

#[test]
fn families_have_unique_names() {
    let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
}
