use std::os::unix::fs::PermissionsExt;

use super::*;

const NODE: NodeId = NodeId::from_key([1; 32]);
const OTHER: NodeId = NodeId::from_key([2; 32]);
const NOW: UnixTime = UnixTime::from_secs(1_795_190_400);
const MINUTE: Duration = Duration::from_secs(60);

fn authority() -> (tempfile::TempDir, AuthorityDir) {
    let dir = tempfile::tempdir().unwrap();
    let authority = AuthorityDir::init(&dir.path().join("authority")).unwrap();
    (dir, authority)
}

fn invite(authority: &AuthorityDir) -> Token {
    let at = ("192.0.2.1:31601".to_owned(), OTHER);
    let terms = Terms::default();
    authority
        .invite(at, &terms, NOW, NOW.after(MINUTE))
        .unwrap()
}

fn redeem(
    authority: &AuthorityDir,
    token: &Token,
    node: NodeId,
    now: UnixTime,
) -> Result<Certificate, NotAdmitted> {
    authority.redeem((token.invitation, &token.secret), node, now)
}

#[test]
fn an_authority_is_made_once_and_only_its_owner_reads_it() {
    let (dir, authority) = authority();
    let path = dir.path().join("authority");
    let again = AuthorityDir::init(&path).unwrap_err();
    assert!(matches!(again, FileError::AuthorityExists(_)), "{again}");
    let read = AuthorityDir::open(&path).unwrap();
    assert_eq!(read.federation(), authority.federation());
    let key = path.join(KEY);
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = AuthorityDir::open(&path).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    let error = AuthorityDir::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("federation init"), "{error}");
}

#[test]
fn an_invitation_admits_one_node_once() {
    let (_dir, authority) = authority();
    let token = invite(&authority);
    let certificate = redeem(&authority, &token, NODE, NOW).unwrap();
    certificate.verify(authority.federation(), NOW).unwrap();
    assert_eq!(certificate.node(), NODE);
    assert_eq!(certificate.validity(), Terms::default().validity);
    for node in [NODE, OTHER] {
        let again = redeem(&authority, &token, node, NOW);
        assert_eq!(again, Err(NotAdmitted::Invitation));
    }
    // Nor after a restart.
    let authority = AuthorityDir::open(&authority.path).unwrap();
    let again = redeem(&authority, &token, NODE, NOW);
    assert_eq!(again, Err(NotAdmitted::Invitation));
}

#[test]
fn of_many_at_once_one_is_admitted() {
    let (_dir, authority) = authority();
    for _ in 0..20 {
        let token = invite(&authority);
        let admitted = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|i| {
                    let (authority, token) = (&authority, &token);
                    let node = NodeId::from_key([i; 32]);
                    scope.spawn(move || redeem(authority, token, node, NOW).is_ok())
                })
                .collect();
            tries
                .into_iter()
                .filter_map(|t| t.join().ok())
                .filter(|ok| *ok)
                .count()
        });
        assert_eq!(admitted, 1);
    }
}

#[test]
fn an_invitation_that_ended_or_a_wrong_secret_admits_nobody() {
    let (_dir, authority) = authority();
    let token = invite(&authority);
    let late = redeem(&authority, &token, NODE, NOW.after(MINUTE));
    assert_eq!(late, Err(NotAdmitted::Invitation));
    let forged = Token {
        secret: Secret::new([0; 32]),
        ..token.clone()
    };
    let refused = redeem(&authority, &forged, NODE, NOW);
    assert_eq!(refused, Err(NotAdmitted::Invitation));
    let unknown = Token {
        invitation: InvitationId([0; 16]),
        ..token.clone()
    };
    let refused = redeem(&authority, &unknown, NODE, NOW);
    assert_eq!(refused, Err(NotAdmitted::Invitation));
    // Neither used it up.
    redeem(&authority, &token, NODE, NOW).unwrap();
}

#[test]
fn the_secret_stands_in_no_file() {
    let (dir, authority) = authority();
    let token = invite(&authority);
    let path = authority.invitation(INVITATIONS, token.invitation);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    let hex: String = token
        .secret
        .bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert!(!text.contains(&hex), "{text}");
    assert!(text.contains(&hashed(&token.secret)), "{text}");
    drop(dir);
}

#[test]
fn a_revoked_node_gets_no_certificate_in_any_way() {
    let (_dir, authority) = authority();
    let certificate = authority.sign(NODE, &Terms::default(), NOW).unwrap();
    authority.renew(&certificate, NOW).unwrap();
    let token = invite(&authority);
    let revocation = authority.revoke(NODE, NOW).unwrap();
    assert_eq!(
        authority.revocations().unwrap(),
        std::slice::from_ref(&revocation)
    );
    assert_eq!(
        authority.revoke(NODE, NOW.after(MINUTE)).unwrap(),
        revocation
    );
    assert_eq!(
        authority.renew(&certificate, NOW),
        Err(NotAdmitted::Revoked)
    );
    assert_eq!(
        redeem(&authority, &token, NODE, NOW),
        Err(NotAdmitted::Revoked)
    );
    assert!(authority.sign(NODE, &Terms::default(), NOW).is_err());
    // The invitation was not used up by it.
    redeem(&authority, &token, OTHER, NOW).unwrap();
}

#[test]
fn old_invitations_are_forgotten() {
    let (_dir, authority) = authority();
    let tokens = [invite(&authority), invite(&authority)];
    redeem(&authority, &tokens[0], NODE, NOW).unwrap();
    let later = NOW.after(REMEMBER + 2 * MINUTE);
    let at = ("192.0.2.1:31601".to_owned(), OTHER);
    let terms = Terms::default();
    let last = authority.invite(at, &terms, later, later.after(MINUTE));
    for (state, token) in [(USED, &tokens[0]), (INVITATIONS, &tokens[1])] {
        assert!(!authority.invitation(state, token.invitation).exists());
    }
    redeem(&authority, &last.unwrap(), NODE, later).unwrap();
}
