//! What a node is handed to join with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::signed;
use super::{FederationId, UnixTime};
use crate::NodeId;

/// The most bytes that a token has.
const MAX_TOKEN: usize = 512;
/// The longest address, in bytes: a name of DNS and a port.
const MAX_ADDRESS: usize = 260;
const VERSION: u8 = 1;
const TEXT: &str = "dfaas-join-";

/// The name of an invitation. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationId(pub [u8; 16]);

impl fmt::Display for InvitationId {
    /// In hexadecimal digits, as the name of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret of an invitation, 32 random bytes. It is wiped when it is dropped and never printed but in a [`Token`]'s text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret([u8; 32]);

impl Secret {
    /// This secret, which the caller has made at random.
    pub const fn new(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// An invitation into a federation: whom to ask, how to know that node, and what admits. Whoever has it first can join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The federation to join.
    pub federation: FederationId,
    /// Where an agent that issues certificates takes peers' connections, `HOST:PORT`.
    pub address: String,
    /// Who that agent is.
    pub issuer: NodeId,
    /// Which invitation.
    pub invitation: InvitationId,
    /// Its secret.
    pub secret: Secret,
    /// When it ends.
    pub expires: UnixTime,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "this is no token of `dfaas federation invite`: copy it whole, from dfaas-join- to its end, and run the same \
     release on both nodes"
)]
pub struct TokenError;

impl Token {
    /// The text to hand over, which holds the secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(signed::write(VERSION, self));
        Zeroizing::new(signed::to_text(TEXT, &bytes))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let bytes = signed::of_text(TEXT, MAX_TOKEN, text).ok_or(TokenError)?;
        let bytes = Zeroizing::new(bytes);
        let token: Token = signed::read(VERSION, MAX_TOKEN, &bytes).map_err(|_| TokenError)?;
        let printable = token.address.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || token.address.len() > MAX_ADDRESS {
            return Err(TokenError);
        }
        Ok(token)
    }
}
