use super::*;
use diapason_flow::Streams;
use proptest::prelude::*;
use rand::RngExt;

/// Requests of three kinds, made of words that the kinds share and words that they do not.
fn examples(count: usize) -> Vec<Example> {
    let kinds = [
        ("Translation", ["translate", "into", "language", "sentence"]),
        ("Summarization", ["summarize", "shorten", "paragraph", "article"]),
        ("CodeFix", ["bug", "error", "fix", "function"]),
    ];
    let shared = ["please", "the", "this", "for", "me", "now", "text", "help"];
    let streams = Streams::new(5);
    (0..count)
        .map(|index| {
            let mut stream = streams.stream("examples", index as u64);
            let (label, own) = kinds[index % kinds.len()];
            let words = (0..8).map(|_| {
                if stream.random::<f64>() < 0.3 {
                    own[stream.random_range(0..own.len())]
                } else {
                    shared[stream.random_range(0..shared.len())]
                }
            });
            let input = words.collect::<Vec<_>>().join(" ");
            Example { input, output: String::new(), label: label.to_owned() }
        })
        .collect()
}

fn settings() -> FitSettings {
    FitSettings { bits: 12, ..FitSettings::default() }
}

#[test]
fn what_words_tell_is_learned_and_measured_on_other_examples() {
    let tagger = fit("task", &examples(600), &settings()).unwrap();
    let accuracy = tagger.accuracy();
    assert_eq!(accuracy.examples, 120);
    // One in eighteen requests has no word of its own kind: 0.7^8 = 0.058.
    assert!(accuracy.share > 0.9 && accuracy.majority < 0.5, "{accuracy:?}");
    let right: usize = accuracy.classes.iter().map(|class| class.right).sum();
    assert!((right as f64 / 120.0 - accuracy.share).abs() < 1e-12);
    assert_eq!(tagger.predict("please fix the bug", ""), Some("CodeFix"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_they_read_back() {
    let (first, second) = (examples(90), examples(90));
    let tagger = fit("task", &first, &settings()).unwrap();
    assert_eq!(tagger.to_bytes(), fit("task", &second, &settings()).unwrap().to_bytes());
    assert_eq!(Tagger::from_bytes(&tagger.to_bytes()).unwrap(), tagger);
    let other = fit("task", &first, &FitSettings { seed: 1, ..settings() }).unwrap();
    assert_ne!(other.to_bytes(), tagger.to_bytes());
}

#[test]
fn a_tagger_is_silent_where_it_would_too_often_be_wrong() {
    let tagger = fit("task", &examples(600), &settings()).unwrap();
    let unsure = "please help me with this text now";
    assert!(tagger.predict(unsure, "").is_some());
    // Other examples, of which a quarter, of all labels, say nothing.
    let mut others = examples(300);
    for example in others.iter_mut().step_by(4) {
        unsure.clone_into(&mut example.input);
    }
    let before = tagger.measure(&others);
    let sure = tagger.clone().sure(&others, 0.95);
    let after = sure.measure(&others);
    assert!(before.answered == 300 && before.share < 0.9, "{before:?}");
    assert!((150..300).contains(&after.answered) && after.share >= 0.95, "{after:?}");
    assert_eq!(sure.predict(unsure, ""), None);
    assert_eq!(sure.predict("please fix the bug error function", ""), Some("CodeFix"));
    assert_eq!(Tagger::from_bytes(&sure.to_bytes()).unwrap(), sure);
    let never = tagger.sure(&others, 1.1);
    assert_eq!(never.measure(&others).answered, 0);
}

#[test]
fn rare_classes_weigh_more_when_classes_are_balanced() {
    let mut skewed = examples(600);
    skewed.retain(|example| example.label != "CodeFix" || example.input.len() % 7 == 0);
    let recall = |balance| {
        let tagger =
            fit("task", &skewed, &FitSettings { balance, epochs: 1, ..settings() }).unwrap();
        let fixes: Vec<Example> =
            examples(900).into_iter().filter(|example| example.label == "CodeFix").collect();
        tagger.measure(&fixes).share
    };
    assert!(recall(1.0) > recall(0.0), "{} {}", recall(1.0), recall(0.0));
}

#[test]
fn the_embedded_taggers_know_the_taxonomy() {
    let taggers = Tagger::defaults();
    let names: Vec<&str> = taggers.iter().map(Tagger::marker).collect();
    assert_eq!(names, ["domain", "task"]);
    let taxonomy = crate::Taxonomy::built_in();
    for tagger in &taggers {
        for class in tagger.classes() {
            assert!(taxonomy.allows(tagger.marker(), class), "{class}");
        }
        assert!(tagger.head.least > 0.0 && tagger.weights.len() < 500_000);
    }
    let code = "Write a Python function `add(a, b)` that adds two numbers.";
    assert_eq!(taggers[0].predict(code, "def add(a, b):\n    return a + b\n"), Some("Code"));
    assert_eq!(taggers[1].predict("Translate into German: It rains.", ""), Some("Translation"));
}

#[test]
fn one_class_is_no_classifier() {
    let mut one = examples(9);
    one.retain(|example| example.label == "CodeFix");
    let error = fit("task", &one, &settings()).unwrap_err().to_string();
    assert!(error.contains("3 examples of 1 classes"), "{error}");
}

/// The score from the definition: a sum over features in floating point.
#[test]
fn scores_agree_with_a_plain_sum() {
    let tagger = fit("task", &examples(60), &settings()).unwrap();
    let found = features("translate this", "", 12);
    let each = 1.0 / (found.len() as f64).sqrt();
    for (class, score) in tagger.scores(&found).iter().enumerate() {
        let weights = found.iter().map(|feature| {
            f64::from(tagger.weights[*feature as usize * 3 + class]) * f64::from(tagger.head.scale)
        });
        let plain = f64::from(tagger.head.bias[class]) + each * weights.sum::<f64>();
        assert!((plain - f64::from(*score)).abs() < 1e-3, "{plain} {score}");
    }
}

proptest! {
    #[test]
    fn any_text_has_features_in_range(input in ".{0,40}", output in ".{0,40}") {
        let found = features(&input, &output, 10);
        prop_assert!(found.iter().all(|feature| *feature < 1024));
        prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn no_bytes_make_reading_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Tagger::from_bytes(&bytes).is_err());
        bytes.splice(0..0, MAGIC.iter().copied());
        prop_assert!(Tagger::from_bytes(&bytes).is_err());
    }
}
