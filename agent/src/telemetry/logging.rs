//! Log lines, on standard error.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// libp2p logs errors and warnings on the ordinary coming and going of nodes; what matters of it the overlay logs
/// itself.
const QUIET: &str = "libp2p=off";

/// Why logging cannot begin.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("log.filter cannot be used; give a level such as info, or dfaas_agent=debug,warn")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging has begun before in this process.
    #[error("logging has begun already; begin it once in a process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins to log to standard error. libp2p's own lines are left out unless the filter names it.
///
/// # Errors
/// If the filter cannot be read, or logging has begun before in this process.
pub fn init(config: &LogConfig) -> Result<(), LoggingError> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    subscriber(config, colours, std::io::stderr)?.try_init()?;
    Ok(())
}

fn subscriber(
    config: &LogConfig,
    colours: bool,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.filter)?)
        .with_ansi(colours)
        .with_writer(writer);
    Ok(match config.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    Ok(if text.contains("libp2p") {
        EnvFilter::try_new(text)?
    } else {
        EnvFilter::try_new(format!("{text},{QUIET}"))?
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::AccessLogConfig;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let config = LogConfig {
            filter: filter.to_owned(),
            format,
            access: AccessLogConfig::Off,
            explain_calls: 0,
        };
        let writer = lines.clone();
        let subscriber = subscriber(&config, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(answer = 42, "ours");
            tracing::debug!("ours in detail");
            tracing::error!(target: "libp2p_mdns::behaviour", "theirs");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libp2p_is_quiet_unless_the_filter_names_it() {
        let text = logged("info", LogFormat::Text);
        assert!(text.contains("ours") && !text.contains("detail"), "{text}");
        assert!(!text.contains("theirs"), "{text}");
        let text = logged("debug,libp2p=warn", LogFormat::Text);
        assert!(text.contains("detail") && text.contains("theirs"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged("info", LogFormat::Json);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "ours");
        assert_eq!(line["answer"], 42);
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        let error = filter("dfaas=loud").unwrap_err();
        assert!(error.to_string().contains("log.filter"), "{error}");
    }
}
