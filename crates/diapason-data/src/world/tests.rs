use super::words::{FIRST_NAMES, SURNAMES};
use super::*;
use diapason_flow::Streams;
use std::collections::HashSet;

#[test]
fn kinds_are_distinct_and_filled() {
    let mut kinds_named = HashSet::new();
    for kind in kinds() {
        assert!(kinds_named.insert(&kind.one), "{} twice", kind.one);
        assert!(kind.members.len() >= 3, "{}", kind.one);
        let members: HashSet<_> = kind.members.iter().collect();
        assert_eq!(members.len(), kind.members.len(), "{} repeats a member", kind.one);
        assert!(names(&kind.members.join(" ")).is_empty(), "{} has a name of people", kind.one);
    }
    for role in [Role::Drawn, Role::Known] {
        assert!(kinds().iter().any(|kind| kind.role == role), "{role:?}");
    }
}

#[test]
fn the_corpus_names_familiar_members_more_often_and_each_at_times() {
    let streams = Streams::new(8);
    let texts: Vec<String> =
        (0..8000).map(|index| document(6, &mut streams.stream("corpus", index))).collect();
    let text = texts.join("\n");
    for kind in kinds().iter().filter(|kind| kind.one == "country" || kind.one == "US state") {
        let times: Vec<usize> =
            kind.members.iter().map(|member| text.matches(&**member).count()).collect();
        assert!(times.iter().all(|times| *times > 0), "{times:?}");
        assert!(times[0] > 5 * times[times.len() - 1], "{times:?}");
    }
}

/// Every first name and every surname, in the order of the text.
fn names(text: &str) -> Vec<&str> {
    let known: HashSet<&str> = FIRST_NAMES.into_iter().chain(SURNAMES).collect();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| known.contains(word)).collect()
}

#[test]
fn the_two_pools_share_names_but_no_person() {
    let drawn = |pool: WordPool| -> HashSet<String> {
        let streams = Streams::new(5);
        (0..8000).flat_map(|index| pool.labels(4, &mut streams.stream("labels", index))).collect()
    };
    let (training, held_out) = (drawn(WordPool::Training), drawn(WordPool::HeldOut));
    assert!(
        training.len() == 1056 && held_out.len() == 96,
        "{} {}",
        training.len(),
        held_out.len()
    );
    assert!(training.is_disjoint(&held_out), "{:?}", training.intersection(&held_out));
    for people in [&training, &held_out] {
        let words: HashSet<&str> = people.iter().flat_map(|person| names(person)).collect();
        assert_eq!(words.len(), FIRST_NAMES.len() + SURNAMES.len());
    }
}

/// No held-out person stands in a text: neither in full, nor as any two names side by side,
/// whatever is between them.
#[track_caller]
fn assert_names_no_held_out_person(text: &str, held_out: &HashSet<(&str, &str)>) {
    let names = names(text);
    let (pairs, rest) = names.as_chunks::<2>();
    assert!(rest.is_empty(), "a name alone: {text}");
    for [first, surname] in pairs {
        assert!(text.contains(&format!("{first} {surname}")), "{first} without {surname}: {text}");
        assert!(!held_out.contains(&(*first, *surname)), "{first} {surname}: {text}");
    }
}

#[test]
fn no_tuning_episode_names_a_held_out_label() {
    let suite = crate::Suite::embedded().unwrap();
    let settings = crate::BuildSettings { max_episodes: Some(300), ..Default::default() };
    let people: HashSet<_> = WordPool::HeldOut.people().collect();
    let mut named = 0;
    for name in ["world_urn", "world_labels", "world_members"] {
        let task = suite.matching(name).unwrap()[0];
        for episode in suite.build(task, None, &settings, &Streams::new(5)).unwrap() {
            let turns = episode.turns.iter().map(|turn| turn.output.as_str());
            for text in turns.chain(episode.description.as_deref()) {
                assert_names_no_held_out_person(text, &people);
                named += names(text).len();
            }
        }
    }
    assert!(named > 1000, "{named}");
}

#[test]
fn no_document_of_the_corpus_names_a_held_out_person() {
    let streams = Streams::new(7);
    let people: HashSet<_> = WordPool::HeldOut.people().collect();
    let texts = (0..3000).map(|index| document(6, &mut streams.stream("corpus", index)));
    let named: usize = texts
        .map(|text| {
            assert_names_no_held_out_person(&text, &people);
            names(&text).len()
        })
        .sum();
    assert!(named > 10_000, "{named}");
}

#[test]
fn labels_of_one_draw_differ_and_so_do_their_first_names() {
    let streams = Streams::new(6);
    for index in 0..500 {
        for pool in [WordPool::Training, WordPool::HeldOut] {
            let labels = pool.labels(6, &mut streams.stream("labels", index));
            let first: HashSet<_> = labels.iter().map(|label| names(label)[0]).collect();
            assert_eq!(first.len(), 6);
        }
        let things = WordPool::Things.labels(6, &mut streams.stream("labels", index));
        assert_eq!(things.iter().collect::<HashSet<_>>().len(), 6);
        let known = |kind: &Kind| kind.role == Role::Known;
        let of = |kind: &&Kind| things.iter().all(|label| kind.holds(label));
        assert!(kinds().iter().filter(of).any(known), "{things:?}");
    }
}

#[test]
fn the_corpus_never_shows_the_format_of_an_episode() {
    let streams = Streams::new(7);
    for index in 0..500 {
        let text = document(6, &mut streams.stream("corpus", index));
        assert!(!text.contains("Description") && !text.contains("Output") && !text.contains("<|"));
        assert!(!text.is_empty() && text.len() < 2000, "{text}");
    }
}
