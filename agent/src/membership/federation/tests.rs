use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::identity::Identity;

const OTHER: NodeId = NodeId::from_key([2; 32]);

struct Site {
    directory: tempfile::TempDir,
    authority: AuthorityDir,
    node: NodeId,
}

impl Site {
    /// A node with a certificate that was issued so long ago, of an hour.
    fn new(ago: u64) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let authority = AuthorityDir::init(&directory.path().join("authority")).unwrap();
        let site = Site {
            node: Identity::load_or_create(&directory.path().join("state"))
                .unwrap()
                .node_id(),
            authority,
            directory,
        };
        let certificate = site.signed(site.node, ago);
        site.store().keep_certificate(&certificate).unwrap();
        site
    }

    fn signed(&self, node: NodeId, ago: u64) -> Certificate {
        let at = UnixTime::from_secs(now().as_secs() - ago);
        let terms = Terms {
            validity: Duration::from_secs(3600),
            ..Terms::default()
        };
        self.authority.sign(node, &terms, at).unwrap()
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn store(&self) -> Store {
        Store::new(&self.state(), None)
    }

    fn load(
        &self,
        config: &ClosedConfig,
    ) -> Result<(Federation, mpsc::UnboundedReceiver<Message>), FileError> {
        let (sender, news) = mpsc::unbounded_channel();
        let loaded = Federation::load(self.node, config, &self.state(), None, sender)?;
        Ok((loaded.unwrap(), news))
    }

    fn start(&self) -> (Federation, mpsc::UnboundedReceiver<Message>) {
        self.load(&ClosedConfig::default()).unwrap()
    }
}

#[test]
fn a_revocation_is_told_once_cuts_and_outlives_a_restart() {
    let site = Site::new(0);
    let (federation, mut news) = site.start();
    let other = site.signed(OTHER, 0);
    federation.check(OTHER, &other).unwrap();
    assert!(federation.admits(OTHER));
    assert!(matches!(news.try_recv(), Ok(Message::Members(_)) | Err(_)));
    let losses = federation.changes();
    let revocation = site.authority.revoke(OTHER, now()).unwrap();
    federation.hear_revocations(site.node, &[revocation.clone(), revocation.clone()]);
    assert!(losses.has_changed().unwrap());
    assert!(!federation.admits(OTHER));
    let told = news.try_recv().unwrap();
    assert_eq!(told, Message::Revocations(vec![revocation.clone()]));
    federation.hear_revocations(site.node, &[revocation]);
    assert!(news.try_recv().is_err());
    assert!(federation.admits(site.node));

    let (federation, _news) = site.start();
    let checked = federation.check(OTHER, &other);
    assert_eq!(checked, Err(MembershipError::Revoked(OTHER)));
    assert_eq!(federation.known().1.len(), 1);
}

#[test]
fn revocations_that_were_altered_are_not_passed_over() {
    let site = Site::new(0);
    let (federation, _news) = site.start();
    let revocation = site.authority.revoke(OTHER, now()).unwrap();
    federation.revoke(&revocation).unwrap();
    let path = site.state().join("membership/revocations");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.trim_end();
    let one_other = (0..line.len()).map(|place| {
        let other = if &line[place..=place] == "A" {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}\n", &line[..place], &line[place + 1..])
    });
    for altered in one_other.chain([format!("{line}x\n"), "x\n".into()]) {
        std::fs::write(&path, &altered).unwrap();
        let error = site.load(&ClosedConfig::default()).unwrap_err();
        assert!(matches!(error, FileError::Damaged(_)), "{altered}: {error}");
    }
    // Those of another federation do not matter.
    let other = AuthorityDir::init(&site.directory.path().join("other")).unwrap();
    let foreign = other.revoke(OTHER, now()).unwrap();
    std::fs::write(&path, format!("{foreign}\n{text}")).unwrap();
    let (federation, _news) = site.start();
    assert_eq!(federation.known().1, [revocation]);
}

#[test]
fn a_renewal_is_kept_shown_and_told() {
    let site = Site::new(1800);
    let (federation, mut news) = site.start();
    let renewals = federation.renewals();
    let renewed = site.signed(site.node, 0);
    federation.renewed(renewed.clone()).unwrap();
    assert!(renewals.has_changed().unwrap());
    assert_eq!(*federation.own().unwrap(), renewed);
    assert_eq!(site.store().certificate().unwrap().unwrap(), renewed);
    let told = std::iter::from_fn(|| news.try_recv().ok()).last();
    assert_eq!(told, Some(Message::Members(vec![renewed])));
    // One of another node is none.
    let other = site.signed(OTHER, 0);
    federation.renewed(other).unwrap_err();
}

#[test]
fn who_has_no_valid_certificate_itself_admits_nobody() {
    let site = Site::new(7200);
    let (federation, _news) = site.start();
    federation.check(OTHER, &site.signed(OTHER, 0)).unwrap();
    assert!(!federation.admits(OTHER));
    assert!(federation.own().is_none());
    federation.renewed(site.signed(site.node, 0)).unwrap();
    assert!(federation.admits(OTHER));
    let hour = Duration::from_secs(3601);
    let losses = federation.changes();
    federation.expire(now().after(hour));
    assert!(losses.has_changed().unwrap());
    assert!(!federation.admits(OTHER));
}

#[test]
fn what_is_forged_is_not_told_on() {
    let site = Site::new(0);
    let (federation, mut news) = site.start();
    while news.try_recv().is_ok() {}
    let foreign = AuthorityDir::init(&site.directory.path().join("other")).unwrap();
    let forged = foreign.sign(OTHER, &Terms::default(), now()).unwrap();
    let good = site.signed(OTHER, 0);
    federation.hear_members(OTHER, &[forged, good.clone()]);
    assert!(
        news.try_recv().is_err(),
        "what follows one that is forged is not looked at"
    );
    federation.hear_members(OTHER, std::slice::from_ref(&good));
    assert_eq!(news.try_recv(), Ok(Message::Members(vec![good.clone()])));
    federation.hear_members(OTHER, &[good]);
    assert!(news.try_recv().is_err());
    let everything = federation.everything();
    assert!(matches!(&everything[..], [Message::Members(m)] if m.len() == 2));
}

#[test]
fn an_authority_admits_its_own_node_and_watches_its_directory() {
    let site = Site::new(0);
    std::fs::remove_file(site.store().certificate_file()).unwrap();
    let path = site.directory.path().join("authority");
    let config = ClosedConfig {
        authority: Some(path.clone()),
        ..ClosedConfig::default()
    };
    let (federation, _news) = site.load(&config).unwrap();
    assert_eq!(federation.id(), site.authority.federation());
    assert!(federation.admits(site.node));
    assert_eq!(site.authority.issuer().unwrap(), Some(site.node));
    site.authority.revoke(OTHER, now()).unwrap();
    federation.take_up_revocations().unwrap();
    assert_eq!(federation.known().1.len(), 1);

    let elsewhere = AuthorityDir::init(&site.directory.path().join("other")).unwrap();
    let config = ClosedConfig {
        id: Some(elsewhere.federation()),
        ..config
    };
    let error = site.load(&config).unwrap_err();
    assert!(
        matches!(error, FileError::OtherFederation { .. }),
        "{error}"
    );
}

#[test]
fn a_certificate_that_is_configured_has_to_be_there() {
    let site = Site::new(0);
    std::fs::remove_file(site.store().certificate_file()).unwrap();
    let (sender, _news) = mpsc::unbounded_channel();
    let nothing = ClosedConfig::default();
    let loaded = Federation::load(site.node, &nothing, &site.state(), None, sender).unwrap();
    assert!(loaded.is_none());
    let config = ClosedConfig {
        certificate: Some("/nowhere/certificate".into()),
        ..ClosedConfig::default()
    };
    let error = site.load(&config).unwrap_err();
    assert!(
        error.to_string().contains("dfaas federation join"),
        "{error}"
    );
}
