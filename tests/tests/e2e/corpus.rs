//! The inputs that fuzzing found worth keeping (`tests/fuzz`), against a real agent, without the engine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dfaas_tests::Site;
use dfaas_tests::fuzzed::TARGETS;
use dfaas_tests::judge::Judge;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn inputs_of(target: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(corpora().join(target)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// The bodies of the targets panic where something is wrong.
#[test]
fn every_decoder_takes_its_corpus_and_what_is_next_to_it() {
    let mut expected = BTreeSet::from(["request_head".to_owned()]);
    for (target, body) in TARGETS {
        expected.insert(target.to_owned());
        let inputs = inputs_of(target);
        assert!(inputs.len() >= 5, "{target}: {}", inputs.len());
        for path in inputs {
            println!("{}", path.display());
            let mut input = std::fs::read(&path).unwrap();
            body(&input);
            // Some of each input's neighbours: the engine has seen them, a change of the decoder has not.
            for place in (0..input.len()).step_by(1 + input.len() / 16) {
                input[place] ^= 1 << (place % 8);
                body(&input);
                body(&input[..place]);
            }
        }
    }
    let found = std::fs::read_dir(corpora()).unwrap();
    let found = found.map(|one| one.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_input_of_the_corpus_is_harmless() {
    let _machine = crate::beside_others().await;
    let judge = Judge::start().await;
    let agent = Site::new().openfaas(&judge.url()).start().await;
    let mut wrong = Vec::new();
    let mut inputs = 0;
    for path in inputs_of("request_head") {
        let input = std::fs::read(&path).unwrap();
        inputs += 1;
        if let Err(why) = judge.judge(agent.ingress(), &input).await {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    assert!(inputs >= 50, "the corpus is there: {inputs}");
    assert_eq!(wrong, Vec::<String>::new());
    let plain = b"GET /function/echo HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(judge.judge(agent.ingress(), plain).await, Ok(()));
    assert!(!agent.log().contains("panic"), "{}", agent.log());
}
