use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use dfaas_protocol::membership::Region;
use dfaas_protocol::policy::Policy;
use dfaas_protocol::{FunctionName, Headroom, NodeId, NodeLabels};

/// Names and labels as functions, nodes and headers have them: whatever the text, what is read of it is written as it is read.
/// Lines are `KEY=VALUE`.
///
/// # Panics
/// If not.
pub fn labels(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let pairs: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let (policy, errors) = Policy::from_labels(&pairs);
    assert!(errors.iter().all(|error| !error.to_string().is_empty()));
    if let Ok(labels) = NodeLabels::new(pairs) {
        let again = labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(NodeLabels::new(again).as_ref(), Ok(&labels));
        let _ = policy.is_offered_by(&labels);
    }
    for line in text.lines() {
        is_written_as_read::<Headroom>(line);
        is_written_as_read::<NodeId>(line);
        is_written_as_read::<Region>(line);
        if let Ok(name) = FunctionName::parse(line) {
            assert_eq!(FunctionName::parse(name.as_str()), Ok(name));
        }
    }
}

fn is_written_as_read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string().parse().ok(), Some(read));
    }
}
