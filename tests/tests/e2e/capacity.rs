//! Capacity that nobody declared.

use std::time::Duration;

use dfaas_tests::{Site, load};

#[tokio::test(flavor = "multi_thread")]
async fn the_slots_of_a_function_without_a_label_are_learned() {
    let _machine = crate::alone().await;
    let site = Site::new().function("work", "\"sleep\"\nms = 50", 4, "");
    let agent = site.start().await;
    // Four at a time for 50 ms each are 80 a second; twice as many come.
    let url = agent.url("/function/work");
    let first = load::constant(url.clone(), 160.0, Duration::from_secs(15)).await;
    assert_eq!(first.failed, Vec::<String>::new());
    let status = agent.status().await;
    let work = status.functions.iter().find(|f| f.name.starts_with("work"));
    let work = work.expect("the function is known");
    assert!(work.learned, "{work:?}");
    assert!((3..=5).contains(&work.slots.unwrap_or(0)), "{work:?}");

    let later = load::constant(url, 160.0, Duration::from_secs(10)).await;
    assert_eq!(later.failed, Vec::<String>::new());
    assert!(later.served >= 640, "{later:?}, of 800 that are possible");
}
