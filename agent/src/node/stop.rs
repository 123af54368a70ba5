//! When a node stops.

use std::io::Read;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Waits for SIGTERM, SIGINT or, where a parent process asked for it, the end of standard input.
pub(super) async fn asked_to_stop(stop_with_stdin: bool) -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin_closed = async {
        if stop_with_stdin {
            let _ = stdin_end()?.await;
        } else {
            std::future::pending::<()>().await;
        }
        anyhow::Ok(())
    };
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        ended = stdin_closed => ended.map(|()| "the end of standard input")?,
    })
}

/// Tells when standard input ends. A thread of its own reads it, as a read there cannot be given up, and a runtime would
/// wait for it at its end.
fn stdin_end() -> std::io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut bytes = [0u8; 64];
            while !matches!(std::io::stdin().read(&mut bytes), Ok(0) | Err(_)) {}
            let _ = sender.send(());
        })?;
    Ok(receiver)
}
