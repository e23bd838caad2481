//! Prompts that begin alike, together and one after the other, in caches of all sizes.

use crate::common::{CONTEXT, VOCABULARY, model};
use diapason_engine::{Engine, EngineSettings};
use diapason_flow::{Answer, Ask, Lm, Request, Sampling, Streams};
use diapason_model::Device;
use rand::RngExt;

fn engine(cache_tokens: usize, prefix_tokens: usize) -> Engine {
    let settings = EngineSettings {
        max_batch_tokens: 24,
        cache_tokens,
        prefix_tokens,
        ..EngineSettings::default()
    };
    Engine::start(model(), Device::cpu(2), settings)
}

/// Requests of all kinds whose prompts share beginnings of every length.
fn requests(seed: u64, count: u64) -> Vec<Request> {
    let mut stream = Streams::new(seed).stream("prompts", 0);
    let mut prompts: Vec<Vec<u32>> = vec![vec![1]];
    (0..count)
        .map(|index| {
            let old = &prompts[stream.random_range(0..prompts.len())];
            let mut prompt = old[..stream.random_range(1..=old.len())].to_vec();
            for _ in 0..stream.random_range(0..12) {
                prompt.push(stream.random_range(0..VOCABULARY));
            }
            prompt.truncate(CONTEXT - 12);
            prompts.push(prompt.clone());
            let option = |from: u32| (from..from + 1 + index as u32 % 3).collect::<Vec<u32>>();
            let ask = match index % 3 {
                0 => Ask::Sample(Sampling {
                    n: 3,
                    max_tokens: 5,
                    seed: index,
                    ..Sampling::default()
                }),
                1 => Ask::Score { options: vec![option(2), option(3), option(9)] },
                _ if prompt.len() > 1 => {
                    Ask::Trace { from: 1 + index as usize % (prompt.len() - 1), top: 2 }
                }
                _ => Ask::Score { options: vec![option(4)] },
            };
            Request { prompt, ask }
        })
        .collect()
}

fn alone(request: &Request) -> Answer {
    let engine = engine(600, 0);
    let mut answers = engine.ask(std::slice::from_ref(request)).expect("it fits");
    answers.pop().expect("one answer a request")
}

#[test]
fn what_prompts_share_changes_no_bit_and_is_read_once() {
    let requests = requests(1, 36);
    let expected: Vec<Answer> = requests.iter().map(alone).collect();
    for (cache, idle) in [(600, 300), (600, 0), (90, 60), (50, 50)] {
        let engine = engine(cache, idle);
        // All at once, then each by itself over what the others left.
        assert_eq!(engine.ask(&requests).expect("they fit in turns"), expected, "{cache} {idle}");
        let together = engine.statistics();
        assert!(together.reused_tokens > 0 && together.reused_tokens < together.prompt_tokens);
        for (request, expected) in requests.iter().zip(&expected) {
            let found = engine.ask(std::slice::from_ref(request)).expect("it fits");
            assert_eq!(&found[0], expected, "{cache} {idle}");
        }
        let later = engine.statistics();
        let reused = later.reused_tokens - together.reused_tokens;
        assert_eq!(reused == 0, idle == 0, "without room nothing stays");
        assert_eq!(later.evicted_tokens == 0, (cache, idle) == (600, 300), "{later:?}");
    }
}

#[test]
fn a_prompt_that_goes_on_from_an_earlier_one_reads_its_new_tokens() {
    let engine = engine(600, 300);
    let ask = Ask::Score { options: vec![vec![3], vec![4]] };
    let prompt: Vec<u32> = (0..20).collect();
    let ask = |prompt: &[u32]| {
        let request = Request { prompt: prompt.to_vec(), ask: ask.clone() };
        engine.ask(&[request]).expect("it fits")
    };
    ask(&prompt[..12]);
    assert_eq!(engine.statistics().reused_tokens, 0);
    ask(&prompt);
    // The last token of a prompt is its own: its logits are wanted.
    assert_eq!(engine.statistics().reused_tokens, 11);
    let again = ask(&prompt);
    assert_eq!(engine.statistics().reused_tokens, 30);
    assert_eq!(engine.statistics().prompt_tokens, 52);
    assert_eq!(
        again[0],
        alone(&Request { prompt, ask: Ask::Score { options: vec![vec![3], vec![4]] } })
    );
}
