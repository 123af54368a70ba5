//! When a node stops.

use std::io::BufRead;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::orders::Obedient;

/// What standard input is for.
pub(super) enum Stdin {
    /// Nothing.
    Unused,
    /// The node stops when it ends.
    Stops,
    /// Likewise, and its lines are a lab's orders.
    Orders(Obedient),
}

/// Waits for SIGTERM, SIGINT or, where a parent process asked for it, the end of standard input.
pub(super) async fn asked_to_stop(stdin: Stdin) -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stdin_closed = async {
        let obedient = match stdin {
            Stdin::Unused => return std::future::pending().await,
            Stdin::Stops => None,
            Stdin::Orders(obedient) => Some(obedient),
        };
        let _ = stdin_end(obedient)?.await;
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
fn stdin_end(obedient: Option<Obedient>) -> std::io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut line = Vec::new();
            while !matches!(input.read_until(b'\n', &mut line), Ok(0) | Err(_)) {
                if let Some(obedient) = &obedient {
                    obedient.obey(String::from_utf8_lossy(&line).trim_end());
                }
                line.clear();
            }
            // The last handle of an overlay ends it, so it must not stay here.
            drop(obedient);
            let _ = sender.send(());
        })?;
    Ok(receiver)
}
