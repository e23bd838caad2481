use super::*;
use crate::{Activation, RopeScaling, Variant, Window};

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
        variant: Variant::default(),
    };
    assert_eq!(arch, expected);
}

#[test]
fn the_transformers_5_form_is_read() {
    let mut config = with("rope_parameters", json!({"rope_theta": 1e5, "rope_type": "default"}));
    config.as_object_mut().unwrap().remove("rope_theta");
    config.as_object_mut().unwrap().remove("rope_scaling");
    config["layer_types"] = json!(vec!["full_attention"; 30]);
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
        let mut variant = family.variant(arch.width);
        variant.query_scalar = (family.style == Style::Gemma).then_some(192.0);
        let of_family = Arch { family: family.name.to_owned(), variant, ..arch.clone() };
        of_family.check().unwrap();
        let config = of_family.to_config(&SpecialIds::default());
        assert_eq!(config["architectures"], json!([family.architecture]));
        assert_eq!(read(&config).unwrap(), of_family);
    }
}

/// A key, a value as JSON, and what the refusal says.
const REFUSALS: [(&str, &str, &str); 24] = [
    ("attention_bias", "true", "`attention_bias` is true; supported: false"),
    ("mlp_bias", "true", "`mlp_bias` is true; supported: false"),
    ("hidden_act", "\"gelu\"", "`hidden_act` is \"gelu\"; supported: \"silu\" or \"swish\""),
    ("sliding_window", "4096", "`sliding_window` is 4096; supported: null"),
    ("rope_interleaved", "true", "`rope_interleaved` is true; supported: false"),
    (
        "rope_scaling",
        r#"{"rope_type": "dynamic", "factor": 8.0}"#,
        "`rope_scaling.rope_type` is \"dynamic\"; supported: \"default\", \"linear\" or \"llama3\"",
    ),
    ("rope_scaling", r#"{"type": 3}"#, "`rope_scaling.type` is 3; supported: \"default\""),
    ("rope_scaling", r#"{"type": "linear"}"#, "`rope_scaling.factor` is missing"),
    (
        "rope_scaling",
        r#"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#,
        "`rope_scaling.high_freq_factor` is 4.0; supported: more than low_freq_factor (4)",
    ),
    (
        "rope_scaling",
        r#"{"rope_type": "default", "mrope_section": [2]}"#,
        "`rope_scaling.mrope_section` is [2]; supported: one base for all, and no other key",
    ),
    ("rope_scaling", "8.0", "`rope_scaling` is 8.0; supported: an object"),
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
        "supported: \"full_attention\" or \"sliding_attention\" for each of 30 layers",
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

/// Configs in the form of transformers 4, as checkpoints of these families carry them.
fn of_family(family: &str) -> Value {
    let mut config = json!({
        "model_type": family,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "vocab_size": 1000,
        "rms_norm_eps": 1e-6
    });
    let own = match family {
        "llama" => json!({
            "rope_theta": 500000.0,
            "rope_scaling": {
                "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192, "rope_type": "llama3"
            }
        }),
        "qwen2" | "qwen3" => json!({
            "hidden_act": "silu", "max_window_layers": 5, "rope_theta": 1000000.0,
            "sliding_window": 1024, "use_sliding_window": false, "tie_word_embeddings": true
        }),
        _ => json!({
            "architectures": ["Gemma3ForCausalLM"], "attn_logit_softcapping": null,
            "cache_implementation": "hybrid", "final_logit_softcapping": null, "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256,
            "rope_local_base_freq": 10000, "rope_theta": 1000000, "rope_scaling": null,
            "sliding_window": 512, "sliding_window_pattern": 6
        }),
    };
    config.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    config
}

#[test]
fn every_family_is_read_in_the_form_of_transformers_4() {
    let llama = read(&of_family("llama")).unwrap();
    let expected = RopeScaling::Llama3 {
        factor: 32.0,
        low_frequency_factor: 1.0,
        high_frequency_factor: 4.0,
        original_context: 8192,
    };
    assert_eq!(llama.variant, Variant { rope_scaling: expected, ..Variant::default() });

    let qwen2 = read(&of_family("qwen2")).unwrap();
    assert_eq!(qwen2.variant, Variant { qkv_bias: true, ..Variant::default() });
    assert_eq!((qwen2.head_width, qwen2.tied), (16, true));
    let mut windowed = of_family("qwen2");
    windowed["use_sliding_window"] = json!(true);
    let window = read(&windowed).unwrap().variant.window.unwrap();
    let layers = [vec![false; 5], vec![true; 3]].concat();
    assert_eq!(window, Window { tokens: 1024, layers, rope_theta: None });
    windowed["max_window_layers"] = json!(8);
    assert_eq!(read(&windowed).unwrap().variant.window, None);

    let qwen3 = read(&of_family("qwen3")).unwrap();
    assert_eq!(qwen3.variant, Variant { head_norms: true, ..Variant::default() });
    assert_eq!(qwen3.head_width, 128, "the default of transformers, not the share of the width");

    let gemma = read(&of_family("gemma3_text")).unwrap();
    let layers = [true, true, true, true, true, false, true, true].to_vec();
    let expected = Variant {
        head_norms: true,
        branch_norms: true,
        norm_offset: 1.0,
        embedding_scale: Some(8.0),
        activation: Activation::GeluTanh,
        query_scalar: Some(256.0),
        window: Some(Window { tokens: 512, layers, rope_theta: Some(1e4) }),
        ..Variant::default()
    };
    assert_eq!((gemma.variant, gemma.tied), (expected, true));
}

#[test]
fn every_family_is_written_as_it_was_read() {
    let mut configs = ["llama", "qwen2", "qwen3", "gemma3_text"].map(of_family).to_vec();
    let mut windowed = of_family("qwen3");
    windowed["use_sliding_window"] = json!(true);
    let mut irregular = of_family("gemma3_text");
    irregular["layer_types"] = json!(vec!["full_attention"; 8]);
    irregular["layer_types"][6] = json!("sliding_attention");
    let mut global = of_family("gemma3_text");
    global["layer_types"] = json!(vec!["full_attention"; 8]);
    configs.extend([windowed, irregular, global]);
    for config in configs {
        let arch = read(&config).unwrap();
        arch.check().unwrap();
        let written = arch.to_config(&SpecialIds::default());
        assert_eq!(read(&written).unwrap(), arch, "{written}");
        let pattern = written.get("sliding_window_pattern").and_then(Value::as_u64);
        let regular =
            config.get("sliding_window_pattern").filter(|_| config.get("layer_types").is_none());
        if regular.is_some() {
            assert_eq!(pattern, Some(6));
        }
    }
}

#[test]
fn both_forms_of_gemma_say_the_same() {
    let old = of_family("gemma3_text");
    let mut new = old.clone();
    for key in ["rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"] {
        new.as_object_mut().unwrap().remove(key);
    }
    let kinds = (1..=8).map(|at| if at == 6 { "full_attention" } else { "sliding_attention" });
    new["layer_types"] = kinds.collect();
    new["rope_parameters"] = json!({
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}
    });
    assert_eq!(read(&new).unwrap(), read(&old).unwrap());
    new["rope_parameters"]["sliding_attention"]["rope_type"] = json!("linear");
    new["rope_parameters"]["sliding_attention"]["factor"] = json!(2.0);
    let message = read(&new).unwrap_err().to_string();
    assert!(
        message.contains("`rope_parameters.sliding_attention.rope_type` is \"linear\""),
        "{message}"
    );
}

/// The config of a multimodal checkpoint leaves out what is the default of its class.
fn multimodal() -> Value {
    json!({
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "eos_token_id": [1, 106],
        "mm_tokens_per_image": 256,
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024
        },
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}
    })
}

#[test]
fn the_text_part_of_a_multimodal_config_is_read_with_the_defaults_of_its_class() {
    let arch = read(&multimodal()).unwrap();
    assert_eq!((arch.family.as_str(), arch.tied, arch.context), ("gemma3_text", true, 131_072));
    assert_eq!((arch.heads, arch.kv_heads, arch.head_width, arch.vocabulary), (8, 4, 256, 262_208));
    assert_eq!((arch.rope_theta, arch.norm_epsilon), (1e6, 1e-6));
    assert_eq!(arch.variant.rope_scaling, RopeScaling::Linear { factor: 8.0 });
    let window = arch.variant.window.clone().unwrap();
    let full: Vec<_> = (0..34).filter(|layer| !window.layers[*layer]).collect();
    assert_eq!((window.tokens, full), (1024, vec![5, 11, 17, 23, 29]));
    let ids = SpecialIds::from_config(&multimodal(), Path::new("c")).unwrap();
    assert_eq!(ids.end, [1, 106]);
    assert_eq!(arch.to_config(&ids)["model_type"], "gemma3_text");
}

#[test]
fn what_no_family_can_do_is_refused_where_it_stands() {
    let refusals = [
        ("qwen3", "attention_bias", json!(true), "`attention_bias` is true; supported: false"),
        ("qwen2", "hidden_act", json!("gelu"), "`hidden_act` is \"gelu\""),
        ("gemma3_text", "final_logit_softcapping", json!(30.0), "is 30.0; supported: null"),
        ("gemma3_text", "attn_logit_softcapping", json!(50.0), "is 50.0; supported: null"),
        ("gemma3_text", "use_bidirectional_attention", json!(true), "supported: false"),
        ("gemma3_text", "hidden_activation", json!("gelu"), "\"gelu_pytorch_tanh\""),
        ("gemma3_text", "sliding_window", json!(0), "`sliding_window` is 0"),
        ("gemma3_text", "sliding_window", Value::Null, "`sliding_window` is null"),
        ("gemma3_text", "sliding_window_pattern", json!(0), "is 0; supported: a whole number in 1"),
        ("gemma3_text", "query_pre_attn_scalar", json!(-1), "is -1; supported: a positive number"),
        ("gemma3_text", "rope_parameters", json!({"rope_theta": 1e6}), "only `full_attention`"),
        ("qwen3", "layer_types", json!(vec!["chunked_attention"; 8]), "`layer_types` is \"chunked"),
        ("qwen2", "layer_types", json!(vec!["sliding_attention"; 8]), "`layer_types` is \"sliding"),
        ("qwen2", "use_sliding_window", json!("yes"), "is \"yes\"; supported: true or false"),
        ("llama", "rope_parameters", json!({"rope_theta": 1e4}), "what `rope_parameters` says"),
    ];
    for (family, key, value, expected) in refusals {
        let mut config = of_family(family);
        config[key] = value;
        let message = read(&config).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\nlacks: {expected}");
    }
    let mut config = multimodal();
    config["text_config"]["attn_logit_softcapping"] = json!(50.0);
    let message = read(&config).unwrap_err().to_string();
    assert!(message.contains("`text_config.attn_logit_softcapping` is 50.0"), "{message}");
    config["text_config"] = json!([]);
    let message = read(&config).unwrap_err().to_string();
    assert!(message.contains("`text_config` is []; supported: an object"), "{message}");
}
