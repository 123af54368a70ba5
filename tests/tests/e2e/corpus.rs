//! The inputs that fuzzing found worth keeping (`tests/fuzz`), against a real agent, without the engine.

use dfaas_tests::Site;
use dfaas_tests::judge::Judge;

#[tokio::test(flavor = "multi_thread")]
async fn every_input_of_the_corpus_is_harmless() {
    let _machine = crate::beside_others().await;
    let judge = Judge::start().await;
    let agent = Site::new().openfaas(&judge.url()).start().await;
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/request_head");
    let mut wrong = Vec::new();
    let mut inputs = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
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
