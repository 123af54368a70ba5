use dfaas_agent::platform::openfaas::listing::Listing;
use dfaas_protocol::policy::Policy;

/// What a platform lists: an entry can be used, or it is said what is wrong with it; to hear the same again changes nothing.
///
/// # Panics
/// If not.
pub fn listing(input: &[u8]) {
    let mut listing = Listing::default();
    if listing.add(input, "openfaas-fn").is_err() {
        assert!(listing.functions.is_empty() && listing.unusable.is_empty());
        return;
    }
    for (name, function) in &listing.functions {
        assert_eq!(name, &function.name);
        let (_, errors) = Policy::from_labels(&function.labels);
        assert!(errors.iter().all(|error| !error.to_string().is_empty()));
    }
    let before = format!("{:?}", listing.functions);
    assert!(listing.add(input, "openfaas-fn").is_ok());
    assert_eq!(before, format!("{:?}", listing.functions));
}
