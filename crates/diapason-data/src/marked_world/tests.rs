use super::*;
use std::collections::BTreeMap;

#[test]
fn every_language_speaks_of_every_domain_in_sentences_of_five_words() {
    let stream = &mut Streams::new(1).stream("test", 0);
    for language in languages() {
        for domain in domains() {
            for scrambled in [0.0, 1.0] {
                let sentence = language.sentence(domain, scrambled, stream);
                assert_eq!(sentence.split(' ').count(), WORDS, "{sentence}");
                assert!(sentence.ends_with('.'));
            }
        }
        for into in languages() {
            let asked = language.ask(None, Some(into), Some(15), stream);
            assert!(asked.contains("15") && !asked.contains('{'), "{asked}");
        }
    }
    for shares in
        [domains().iter().map(|d| d.share).sum::<f64>(), languages().iter().map(|l| l.share).sum()]
    {
        assert!((shares - 1.0).abs() < 1e-9);
    }
    assert_eq!(domains().iter().filter(|domain| domain.share < 0.05).count(), 3);
}

#[test]
fn markers_say_what_the_text_is() {
    let streams = Streams::new(2);
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..2000 {
        let Probe { episode, passage, limit, .. } = probe(Ask::Usual, index, &streams);
        let [turn] = episode.turns.as_slice() else { panic!() };
        assert_eq!(turn.output.lines().count(), passage.sentences);
        let words = turn.output.split_whitespace().count();
        assert_eq!(turn.markers.0["length_tokens"].values(), [words.to_string()]);
        assert!(limit.is_none_or(|limit| words <= limit));
        *domains.entry(passage.domain.name.clone()).or_default() += 1;
    }
    let rare = domains["Medical"] + domains["Legal"] + domains["Finance"];
    assert!((120..240).contains(&rare), "9 % of 2000 are rare, not {rare}");
}

#[test]
fn a_probe_asks_for_what_it_is_to_ask_for() {
    let streams = Streams::new(3);
    for index in 0..200 {
        let Probe { episode, unlimited, passage, limit, .. } = probe(Ask::Limit, index, &streams);
        let input = episode.turns[0].input.clone().unwrap();
        assert_eq!(limit, Some(WORDS * passage.sentences));
        assert!(input.starts_with(&unlimited) && input.len() > unlimited.len(), "{input}");
        let across = probe(Ask::AnotherLanguage, index, &streams).passage;
        assert!(!across.language.name.is_empty());
        let each = probe(Ask::EveryDomain, index, &streams).passage;
        assert_eq!(each.domain.name, super::domains()[index as usize % 7].name);
    }
}

#[test]
fn an_answer_is_as_good_as_its_lines_are_in_order_and_about_what_was_asked() {
    let streams = Streams::new(4);
    let mut means = [0.0; 4];
    let mut unnamed = 0;
    for index in 0..200 {
        let probe = probe(Ask::Usual, index, &streams);
        let stream = &mut streams.stream("score", index);
        for (place, mean) in means.iter_mut().enumerate() {
            let passage = Passage { quality: place + 1, sentences: 6, ..probe.passage };
            *mean += probe.score(&passage.text(stream), false) / 200.0;
        }
        let other = |domain: &&Domain| domain.name != probe.passage.domain.name;
        let other = super::domains().iter().find(other).unwrap();
        let passage = Passage { quality: 1, domain: other, ..probe.passage };
        let elsewhere = passage.text(stream);
        assert_eq!(probe.score(&elsewhere, false), 0.0);
        assert_eq!(probe.score(&elsewhere, true), f64::from(u8::from(!probe.named)));
        unnamed += usize::from(!probe.named);
        assert_eq!(probe.score("", true), 0.0);
        assert_eq!(probe.score("x y z.\n\n", true), 0.0);
    }
    assert!((40..80).contains(&unnamed));
    // A scrambled sentence is in order once in a while.
    assert!((means[0] - 1.0).abs() < 1e-9, "{means:?}");
    assert!(means[1] < 0.8 && means[2] < 0.5 && means[3] < 0.2, "{means:?}");
}

#[test]
fn the_same_seed_makes_the_same_examples() {
    let settings = MarkedSettings { requests: 50, sequences: 5 };
    let make = |seed| episodes(&settings, &Streams::new(seed));
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
    assert_eq!(make(1).iter().filter(|episode| episode.exchangeable).count(), 5);
    let document = document(6, &mut Streams::new(1).stream("document", 0));
    assert!(!document.contains("MARKER_LIST>") && !document.contains("<|"));
}

#[test]
fn the_detector_of_languages_knows_the_lines() {
    let annotator = diapason_markers::Annotator::new(diapason_markers::Taxonomy::built_in());
    let stream = &mut Streams::new(1).stream("test", 0);
    let (mut right, mut wrong, mut lines) = (0, 0, 0);
    for language in languages() {
        for domain in domains() {
            for _ in 0..40 {
                let sentence = language.sentence(domain, 0.3, stream);
                let found = annotator.language(&sentence);
                lines += 1;
                right += usize::from(found == Some(language.name.as_str()));
                wrong += usize::from(found.is_some_and(|found| found != language.name));
            }
        }
    }
    // Lines whose language is not sure are skipped; wrong ones would fail answers that are right.
    assert!(right * 10 >= lines * 7 && wrong * 50 <= lines, "{right}, {wrong} of {lines}");
}
