//! Tokens: secrets for clients of the node, each with a scope.
//!
//! Only the SHA-256 of a secret is kept. Secrets are 256 random bits, so nothing is found by trying, and a slow hash would
//! add nothing but a way to keep the node busy.

mod table;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::node::Node;

/// Most tokens that a node keeps.
pub const MAX_TOKENS: usize = 1_000;
/// Longest name.
const MAX_NAME: usize = 128;
/// Most paths or methods of one scope.
const MAX_ENTRIES: usize = 64;
/// Longest path.
const MAX_PATH: usize = 1024;
/// What a secret begins with, so that it is known for one where it should not be.
const PREFIX: &str = "ipfs-kit-";

/// Why a token is not made or removed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// The name is empty, too long or has control characters.
    #[error("a token's name has 1 to {MAX_NAME} bytes and no control characters")]
    BadName,
    /// There is one.
    #[error("a token named {0:?} exists: remove it first, or choose another name")]
    Exists(String),
    /// There is none.
    #[error("no token is named {0:?}")]
    Unknown(String),
    /// There are too many.
    #[error("{MAX_TOKENS} tokens are kept at most: remove some that are not used any more")]
    TooMany,
    /// The scope makes no sense.
    #[error("{0}")]
    BadScope(&'static str),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// How often a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// So many requests.
    pub requests: u32,
    /// In so many seconds.
    pub seconds: u32,
}

/// What a token opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// HTTP paths, each with what is below it; none: all.
    pub paths: Vec<String>,
    /// HTTP methods; none: all.
    pub methods: Vec<String>,
    /// Most bytes in the body of one request.
    pub max_bytes: Option<u64>,
    /// How often it may be used.
    pub rate: Option<Rate>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Scope {
    /// Whether it opens this path for this method.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let below = |known: &String| {
            let known = known.trim_end_matches('/');
            path.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let path = self.paths.is_empty() || self.paths.iter().any(below);
        path && (self.methods.is_empty() || self.methods.iter().any(|known| known == method))
    }

    /// Whether it has ended at `now`, in seconds since 1970.
    pub fn has_ended(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    fn check(&self) -> Result<(), TokenError> {
        let bad = TokenError::BadScope;
        if self.paths.len() > MAX_ENTRIES || self.methods.len() > MAX_ENTRIES {
            return Err(bad("a token has at most 64 paths and 64 methods"));
        }
        let path = |path: &String| path.starts_with('/') && path.len() <= MAX_PATH;
        if !self.paths.iter().all(path) {
            return Err(bad("a path begins with / and has at most 1024 bytes"));
        }
        let method = |text: &String| {
            (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        if !self.methods.iter().all(method) {
            return Err(bad("an HTTP method is a word such as GET or POST"));
        }
        if self
            .rate
            .is_some_and(|rate| rate.requests == 0 || rate.seconds == 0)
        {
            return Err(bad("a rate is one request in one second at least"));
        }
        Ok(())
    }
}

/// A token, without its secret, which nobody knows any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    hash: [u8; 32],
}

/// The tokens at one moment.
#[derive(Clone, Debug, Default)]
pub struct TokenList {
    tokens: Vec<Token>,
    asked: bool,
}

impl TokenList {
    /// All, in the order of their names.
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether a client needs a token, as far as tokens are concerned: there are some, or there were since the node was
    /// opened. So the removal of the last one does not open a port to everybody.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// The token with this secret. The time it takes tells nothing about secrets: what is compared are hashes.
    pub fn find(&self, secret: &str) -> Option<&Token> {
        if !secret.starts_with(PREFIX) {
            return None;
        }
        let hash = hash_of(secret);
        self.tokens.iter().find(|token| token.hash == hash)
    }

    fn of(mut tokens: Vec<Token>, asked: bool) -> Arc<TokenList> {
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        let asked = asked || !tokens.is_empty();
        Arc::new(TokenList { tokens, asked })
    }
}

/// The tokens of a node, read once.
#[derive(Debug, Default)]
pub(crate) struct TokensState {
    list: RwLock<Option<Arc<TokenList>>>,
    /// Held by a change, so that two do not cross; who only reads does not wait for the disk.
    changing: Mutex<()>,
}

/// Tokens of a node; see [`Node::tokens`].
pub struct Tokens<'n> {
    pub(crate) node: &'n Node,
}

impl Tokens<'_> {
    /// The tokens as they are now.
    ///
    /// # Errors
    /// When the repo cannot be read.
    pub fn list(&self) -> Result<Arc<TokenList>> {
        let state = self.node.tokens_state();
        if let Some(list) = &*state.list.read() {
            return Ok(Arc::clone(list));
        }
        let _changing = state.changing.lock();
        self.current()
    }

    /// The list, inside a change.
    fn current(&self) -> Result<Arc<TokenList>> {
        let state = self.node.tokens_state();
        if let Some(list) = &*state.list.read() {
            return Ok(Arc::clone(list));
        }
        let read = TokenList::of(table::all(self.node.database())?, false);
        *state.list.write() = Some(Arc::clone(&read));
        Ok(read)
    }

    fn replace(&self, tokens: Vec<Token>) {
        *self.node.tokens_state().list.write() = Some(TokenList::of(tokens, true));
    }

    /// Makes a token and gives its secret, which is not kept: this is the only time it is seen. Durable on return.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn add(&self, name: &str, scope: Scope) -> Result<(Token, Zeroizing<String>)> {
        if !(1..=MAX_NAME).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(TokenError::BadName.into());
        }
        scope.check()?;
        let secret = secret()?;
        let token = Token {
            name: name.to_owned(),
            scope,
            created: seconds(SystemTime::now()),
            hash: hash_of(&secret),
        };
        let _changing = self.node.tokens_state().changing.lock();
        let current = self.current()?;
        if current.tokens.iter().any(|known| known.name == name) {
            return Err(TokenError::Exists(name.to_owned()).into());
        }
        if current.tokens.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany.into());
        }
        table::put(self.node.database(), &token)?;
        let mut tokens = current.tokens.clone();
        tokens.push(token.clone());
        self.replace(tokens);
        Ok((token, secret))
    }

    /// Removes a token; no request is let in by it any more. Durable on return.
    ///
    /// # Errors
    /// [`TokenError::Unknown`].
    pub fn remove(&self, name: &str) -> Result<Token> {
        let _changing = self.node.tokens_state().changing.lock();
        let current = self.current()?;
        let mut tokens = current.tokens.clone();
        let Some(at) = tokens.iter().position(|token| token.name == name) else {
            return Err(TokenError::Unknown(name.to_owned()).into());
        };
        let removed = tokens.remove(at);
        table::remove(self.node.database(), name)?;
        self.replace(tokens);
        Ok(removed)
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

fn secret() -> Result<Zeroizing<String>, TokenError> {
    use base64::Engine;
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| TokenError::NoRandom)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str(PREFIX);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    Ok(text)
}

fn hash_of(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests;
