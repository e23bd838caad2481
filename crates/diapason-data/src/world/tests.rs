use super::*;
use diapason_flow::Streams;
use std::collections::HashSet;

#[test]
fn kinds_are_distinct_and_filled() {
    let mut names = HashSet::new();
    for kind in kinds() {
        assert!(names.insert(&kind.one), "{} twice", kind.one);
        assert!(kind.members.len() >= 3, "{}", kind.one);
        let members: HashSet<_> = kind.members.iter().collect();
        assert_eq!(members.len(), kind.members.len(), "{} repeats a member", kind.one);
    }
    for role in [Role::Drawn, Role::Label, Role::Known] {
        assert!(kinds().iter().any(|kind| kind.role == role), "{role:?}");
    }
}

#[test]
fn labels_of_the_two_pools_share_no_word() {
    let words = |pool: WordPool| -> HashSet<String> {
        let streams = Streams::new(5);
        (0..2000).flat_map(|index| pool.labels(4, &mut streams.stream("labels", index))).collect()
    };
    let (training, held_out) = (words(WordPool::Training), words(WordPool::HeldOut));
    assert!(training.len() == 24 && held_out.len() == 8, "{} {}", training.len(), held_out.len());
    assert!(training.is_disjoint(&held_out), "{:?}", training.intersection(&held_out));
}

#[test]
fn no_tuning_episode_names_a_held_out_label() {
    let suite = crate::Suite::embedded().unwrap();
    let settings = crate::BuildSettings { max_episodes: Some(300), ..Default::default() };
    let held_out: HashSet<&str> = WordPool::HeldOut.words().collect();
    for name in ["world_urn", "world_labels", "world_members"] {
        let task = suite.matching(name).unwrap()[0];
        for episode in suite.build(task, None, &settings, &Streams::new(5)).unwrap() {
            let turns = episode.turns.iter().map(|turn| turn.output.as_str());
            for text in turns.chain(episode.description.as_deref()) {
                let named =
                    text.split(|c: char| !c.is_alphanumeric()).find(|w| held_out.contains(w));
                assert_eq!(named, None, "{name}: {text}");
            }
        }
    }
}

#[test]
fn labels_of_one_draw_differ() {
    let streams = Streams::new(6);
    for index in 0..500 {
        for pool in [WordPool::Training, WordPool::HeldOut] {
            let labels = pool.labels(6, &mut streams.stream("labels", index));
            assert_eq!(labels.iter().collect::<HashSet<_>>().len(), 6);
        }
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
