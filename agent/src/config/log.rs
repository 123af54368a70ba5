//! The section `[log]`.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::file::LogSection;
use super::violations::Violations;
use super::{AccessLogConfig, LogConfig, LogFormat};

/// The most calls that can be explained: with four kilobytes for each, which only calls that went far take, 400 MB.
const MOST_EXPLAINED: usize = 100_000;

pub(super) fn resolve(v: &mut Violations, section: LogSection) -> LogConfig {
    let filter = section.filter.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = EnvFilter::try_new(&filter) {
        v.add(format!(
            "log.filter: {filter:?} is no filter ({error}); give a level such as info, or \
             dfaas_agent=debug,warn"
        ));
    }
    let format = match section.format.as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            v.add(format!(
                "log.format: {other:?} is no format; give text or json"
            ));
            LogFormat::Text
        }
    };
    LogConfig {
        filter,
        format,
        access: access_log(v, section.access.as_deref(), section.access_file),
        explain_calls: explain_calls(v, section.explain_calls),
    }
}

fn explain_calls(v: &mut Violations, calls: Option<usize>) -> usize {
    let calls = calls.unwrap_or(4096);
    if calls > MOST_EXPLAINED {
        v.add(format!(
            "log.explain_calls: {calls} calls would take too much memory; give 0 (off) to {MOST_EXPLAINED}"
        ));
    }
    calls
}

fn access_log(v: &mut Violations, kind: Option<&str>, file: Option<PathBuf>) -> AccessLogConfig {
    if file
        .as_deref()
        .is_some_and(|file| file.as_os_str().is_empty())
    {
        v.add("log.access_file: is empty; give a file, or leave it out for standard error");
    }
    match kind {
        Some("json") => AccessLogConfig::Json { file },
        None | Some("off") => {
            if file.is_some() {
                v.add("log.access_file: has no use while log.access is off; set that to json");
            }
            AccessLogConfig::Off
        }
        Some(other) => {
            v.add(format!(
                "log.access: {other:?} is no kind of access log; give off or json"
            ));
            AccessLogConfig::Off
        }
    }
}
