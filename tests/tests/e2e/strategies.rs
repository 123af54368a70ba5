//! Strategies that need more than the agent itself: a program that decides, and the machine's own measurements.

use std::sync::{Arc, Mutex};

use dfaas_tests::agent::SOON;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A program that decides: it keeps what it was asked last, and answers what it is told to.
struct Program {
    url: String,
    asked: Arc<Mutex<Option<Value>>>,
    answer: Arc<Mutex<Value>>,
    task: JoinHandle<()>,
}

impl Program {
    async fn start() -> Program {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::default(), Arc::new(Mutex::new(json!({}))));
        let (keeps, says) = (Arc::clone(&asked), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is the client's affair.
                let _ = serve(stream, &keeps, &says).await;
            }
        });
        Program {
            url,
            asked,
            answer,
            task,
        }
    }
}

/// Serves one request and closes the connection.
async fn serve(
    stream: TcpStream,
    asked: &Mutex<Option<Value>>,
    answer: &Mutex<Value>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    *asked.lock().unwrap() = Some(serde_json::from_slice(&body).unwrap());
    let body = answer.lock().unwrap().to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Whether the next call is forwarded.
async fn is_forwarded(agent: &Agent) -> bool {
    let response = reqwest::get(agent.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    response.headers().contains_key("dfaas-forwarded-to")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_decides_until_it_is_gone() {
    let _machine = crate::beside_others().await;
    let program = Program::start().await;
    let external = format!(
        "[strategy.external]\nurl = \"{}\"\ntimeout_ms = 2000",
        program.url
    );
    let first = Site::new()
        .strategy("external")
        .sleeps("work", 1, 8)
        .period_ms(200)
        .config(&external)
        .start()
        .await;
    let second = Site::new().sleeps("work", 1, 8).joins(&first).start().await;
    first.knows("work", 1).await;
    // What the program says makes no sense yet: headroom decides, and there is room here.
    assert!(!is_forwarded(&first).await);

    let me = format!("node_{}", first.node());
    let there = format!("node_{}", second.node());
    *program.answer.lock().unwrap() = json!({ &me: { "local": 0.0, "reject": 0.0, &there: 1.0 } });
    until("the program's action is taken", SOON, || async {
        is_forwarded(&first).await.then_some(())
    })
    .await;
    let asked = program.asked.lock().unwrap().clone().unwrap();
    let observation = &asked["observation"][&me];
    assert!(observation["input_rate"].is_f64(), "{asked}");
    assert!(
        observation[format!("previous_fwd_to_{there}")].is_f64(),
        "{asked}"
    );

    program.task.abort();
    until("headroom decides again", SOON, || async {
        (!is_forwarded(&first).await).then_some(())
    })
    .await;
    assert!(first.log().contains("gives no answer to go by"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_uses_is_measured() {
    let _machine = crate::beside_others().await;
    let power = "[strategy.node]\nidle_watts = 5\nfull_watts = 15";
    let agent = Site::new().period_ms(200).config(power).start().await;
    let url = format!("http://{}/metrics", agent.status().await.addresses.admin);
    let gauge = |text: &str, name: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let text = until("the CPU is measured", SOON, || async {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        gauge(&text, "dfaas_node_cpu_percent ")
            .is_some()
            .then_some(text)
    })
    .await;
    let cpu = gauge(&text, "dfaas_node_cpu_percent ").unwrap();
    assert!((0.0..=100.0).contains(&cpu), "{cpu}");
    assert!(gauge(&text, "dfaas_node_memory_bytes ").unwrap() > 1e6);
    assert!(gauge(&text, "dfaas_node_power_watts ").unwrap() > 0.0);
}
