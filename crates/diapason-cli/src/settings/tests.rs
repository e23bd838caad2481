use super::resolve::SettingsError;
use super::*;
use std::path::Path;

const RECIPE: &str = r#"
name = "tiny"
[base.new]
width = 32
[train]
learning_rate = 0.5
max_steps = 10
[[models]]
name = "spectrum"
loss = "every-output"
[[models]]
name = "ordinary"
loss = "last-output"
[models.train]
max_steps = 3
"#;

fn given(overrides: &[&str]) -> Result<Settings, SettingsError> {
    let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
    resolve(Path::new("tiny.toml"), RECIPE, &overrides)
}

#[test]
fn models_inherit_what_they_do_not_change() {
    let settings = given(&[]).unwrap();
    assert_eq!(settings.models[0].train.max_steps, Some(10));
    assert_eq!(settings.models[1].train.max_steps, Some(3));
    assert_eq!(settings.models[1].train.learning_rate, 0.5);
}

#[test]
fn overrides_reach_tables_and_named_entries() {
    let settings =
        given(&["seed=9", "base.new.width=64", "models.ordinary.train.learning_rate=0.25"])
            .unwrap();
    assert_eq!(settings.seed, 9);
    assert_eq!(settings.base.new.unwrap().width, 64);
    assert_eq!(settings.models[1].train.learning_rate, 0.25);
    assert_eq!(settings.models[0].train.learning_rate, 0.5);
}

#[test]
fn resolved_settings_resolve_to_themselves() {
    let settings = given(&[]).unwrap();
    let text = toml::to_string(&settings).unwrap();
    assert_eq!(resolve(Path::new("again.toml"), &text, &[]).unwrap(), settings);
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    let error = given(&["train.learning_rat=1"]).unwrap_err().to_string();
    assert!(error.contains("--set train.learning_rat=1"), "{error}");
    assert!(error.contains("did you mean `learning_rate`?"), "{error}");
    let error = resolve(Path::new("r.toml"), "sed = 3", &[]).unwrap_err().to_string();
    assert!(error.contains("r.toml") && error.contains("did you mean `seed`?"), "{error}");
    assert!(error.contains("line 1"), "{error}");
    let error = given(&["models.spektrum.loss=every-output"]).unwrap_err().to_string();
    assert!(error.contains("spektrum") && error.contains("spectrum"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let error = given(&["base.path=somewhere"]).unwrap_err().to_string();
    assert!(error.contains("exactly one"), "{error}");
    let error = given(&["models.ordinary.name=spectrum"]).unwrap_err().to_string();
    assert!(error.contains("two models"), "{error}");
    let error = given(&["data.held_out_share=1.5"]).unwrap_err().to_string();
    assert!(error.contains("held_out_share"), "{error}");
    for (given_name, words) in [
        ("data.annotate=[\"lenght_tokens\"]", "did you mean `length_tokens`?"),
        ("data.annotate=[\"domain\"]", "`domain` cannot be measured of a text alone"),
        ("evaluate.rival=ordinari", "no model is called so"),
    ] {
        let error = given(&[given_name]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(given(&["data.annotate=[\"lang\"]", "evaluate.rival=ordinary"]).is_ok());
    assert!(given(&["seed"]).unwrap_err().to_string().contains("KEY=VALUE"));
}
