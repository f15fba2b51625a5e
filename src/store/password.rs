//! Passwords: how they are hashed, stored and verified. No SQL, no thread.
//!
//! A hash carries its own parameters, `pbkdf2-sha256$<iterations>$<salt>$<hash>` with both in hexadecimal, so that
//! the number of iterations can be raised without touching the old ones: each is made anew when its password is next
//! known, at a login. Then it keeps its salt, by which the store tells a password that was hashed again from one that
//! was changed ([`PasswordHash::mark`]).

use std::fmt::Write;
use std::num::NonZeroU32;

use ring::digest::SHA256_OUTPUT_LEN;
use ring::error::Unspecified;
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
const SCHEME: &str = "pbkdf2-sha256";
const SALT_BYTES: usize = 16;
/// Bytes of HMAC-SHA-256's block.
const BLOCK_BYTES: usize = 64;

/// A password's hash, as the database has it.
#[derive(Debug)]
pub(super) struct PasswordHash {
    iterations: NonZeroU32,
    salt: [u8; SALT_BYTES],
    hash: [u8; SHA256_OUTPUT_LEN],
}

impl PasswordHash {
    /// Hashes a password with a new salt.
    pub(super) fn new(
        password: &str,
        iterations: NonZeroU32,
        random: &SystemRandom,
    ) -> Result<Self, Unspecified> {
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt)?;
        Ok(Self::salted(password, iterations, salt))
    }

    fn salted(password: &str, iterations: NonZeroU32, salt: [u8; SALT_BYTES]) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        count(iterations);
        pbkdf2::derive(
            ALGORITHM,
            iterations,
            &salt_for(&salt, password),
            password.as_bytes(),
            &mut hash,
        );
        Self {
            iterations,
            salt,
            hash,
        }
    }

    /// The same password's hash of so many iterations, if that is more; `password` must be the right one.
    pub(super) fn raised(&self, password: &str, iterations: NonZeroU32) -> Option<Self> {
        (iterations > self.iterations).then(|| Self::salted(password, iterations, self.salt))
    }

    /// What the stored text has in it as long as the password is the same one: its salt, which each new password gets anew.
    pub(super) fn mark(&self) -> String {
        format!("${}$", to_hex(&self.salt))
    }

    /// Reads what [`PasswordHash::to_text`] wrote; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        if parts.next() != Some(SCHEME) {
            return None;
        }
        let hash = Self {
            iterations: parts.next()?.parse().ok()?,
            salt: from_hex(parts.next()?)?,
            hash: from_hex(parts.next()?)?,
        };
        parts.next().is_none().then_some(hash)
    }

    /// The text to store.
    pub(super) fn to_text(&self) -> String {
        let (salt, hash) = (to_hex(&self.salt), to_hex(&self.hash));
        format!("{SCHEME}${}${salt}${hash}", self.iterations)
    }
}

/// Whether a password is the right one. `stored` is `None` where there is no such user.
///
/// It costs the `configured` number of iterations whether or not the user exists: where there is none, a hash that
/// nothing equals is verified instead, and where the user's hash dates from a time of fewer iterations the rest is
/// spent all the same. Only a hash of more iterations than are configured now costs more.
pub(super) fn verify(
    stored: Option<&PasswordHash>,
    password: &str,
    configured: NonZeroU32,
) -> bool {
    let Some(stored) = stored else {
        spend(password, configured);
        return false;
    };
    let salt = salt_for(&stored.salt, password);
    let is_equal = is_equal(stored.iterations, &salt, password, &stored.hash);
    let rest = configured.get().saturating_sub(stored.iterations.get());
    if let Some(rest) = NonZeroU32::new(rest) {
        spend(password, rest);
    }
    is_equal
}

/// Compares in the same time whatever is different: ring does.
fn is_equal(iterations: NonZeroU32, salt: &[u8], password: &str, hash: &[u8]) -> bool {
    count(iterations);
    pbkdf2::verify(ALGORITHM, iterations, salt, password.as_bytes(), hash).is_ok()
}

/// The salt that goes with a password.
///
/// HMAC cannot tell every two keys apart (RFC 2104, section 2): it fills a short one up with zeros, and takes a
/// hash for one longer than its block. So where a password ends in a zero or is so long, its length goes
/// into the salt. All others are hashed as any PBKDF2 hashes them.
fn salt_for(salt: &[u8; SALT_BYTES], password: &str) -> Vec<u8> {
    let mut salt = salt.to_vec();
    if password.ends_with('\0') || password.len() > BLOCK_BYTES {
        salt.extend((password.len() as u64).to_be_bytes());
    }
    salt
}

/// Does the work of a verification for nothing. The comparison keeps the compiler from leaving it out.
fn spend(password: &str, iterations: NonZeroU32) {
    let nothing = [0; SHA256_OUTPUT_LEN];
    is_equal(iterations, &[0; SALT_BYTES], password, &nothing);
}

/// Where tests look at what has been paid: each computation of PBKDF2 passes here.
#[cfg(test)]
fn count(iterations: NonZeroU32) {
    tests::PAID.with(|paid| paid.set(paid.get() + iterations.get()));
}

#[cfg(not(test))]
fn count(_: NonZeroU32) {}

/// Lower-case hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("a string takes all that is written to it");
    }
    hex
}

fn from_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let hex = hex.as_bytes();
    if hex.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let high = char::from(digits[0]).to_digit(16)?;
        let low = char::from(digits[1]).to_digit(16)?;
        // Two digits of 4 bits are 8 bits.
        *byte = (high << 4 | low) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static PAID: Cell<u32> = const { Cell::new(0) };
    }

    /// How many iterations something costs on this thread.
    pub(in crate::store) fn paid_for<T>(what: impl FnOnce() -> T) -> u32 {
        let before = PAID.get();
        what();
        PAID.get() - before
    }

    fn iterations(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("not zero")
    }

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::new(password, iterations(1000), &SystemRandom::new()).expect("random numbers")
    }

    fn is_password(stored: &PasswordHash, password: &str) -> bool {
        verify(Some(stored), password, iterations(1000))
    }

    #[test]
    fn only_the_same_bytes_are_the_password() {
        let passwords = ["x", "x\0", "påss wörd\0\n🔑", "e\u{301}"];
        let long = [64, 65, 1024].map(|length| "a".repeat(length));
        for password in passwords.into_iter().chain(long.iter().map(|long| &**long)) {
            let stored = hash(password);
            assert!(is_password(&stored, password));
            for other in [
                &format!("{password} "),
                &format!("{password}\0"),
                &format!("{password}\0\0"),
                &password[1..],
                "",
                "\u{e9}",
                &password.to_uppercase(),
            ] {
                assert!(!is_password(&stored, other), "{other:?} for {password:?}");
            }
        }
    }

    #[test]
    fn a_password_longer_than_a_block_is_not_its_hash() {
        let long = "a".repeat(BLOCK_BYTES + 1);
        let salt = [7; SALT_BYTES];
        // To HMAC the long key and its SHA-256 are the same; only the salts tell the passwords apart.
        assert_ne!(salt_for(&salt, &long), salt);
        assert_eq!(salt_for(&salt, &long[1..]), salt);
    }

    #[test]
    fn a_stored_hash_reads_back() {
        let text = hash("x").to_text();
        assert!(text.starts_with("pbkdf2-sha256$1000$"), "{text}");
        let stored = PasswordHash::parse(&text).expect("our own text");
        assert_eq!(stored.to_text(), text);
        assert!(is_password(&stored, "x"));
    }

    #[test]
    fn the_same_password_is_stored_differently_each_time() {
        assert_ne!(hash("x").to_text(), hash("x").to_text());
    }

    #[test]
    fn what_is_not_a_hash_is_none() {
        let good = hash("x").to_text();
        for bad in [
            "",
            "x",
            "pbkdf2-sha256",
            "pbkdf2-sha256$0$00$00",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}0"),
            &format!("{good}$"),
            &good.replace("$1000$", "$0$"),
            &good.replace("$1000$", "$-1$"),
            &good.replace("$1000$", "$5000000000$"),
            &format!("{}é", &good[..good.len() - 2]),
        ] {
            assert!(PasswordHash::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_known_vector() {
        // RFC 7914, section 11: PBKDF2-HMAC-SHA-256 (P="passwd", S="salt", c=1), its first 32 bytes.
        let mut hash = [0; SHA256_OUTPUT_LEN];
        pbkdf2::derive(ALGORITHM, iterations(1), b"salt", b"passwd", &mut hash);
        assert_eq!(
            to_hex(&hash),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
    }

    #[test]
    fn a_verification_costs_the_same_whether_or_not_the_user_exists() {
        let stored = hash("x");
        for configured in [1000, 1500] {
            let configured = iterations(configured);
            for (stored, password) in [(Some(&stored), "x"), (Some(&stored), "y"), (None, "x")] {
                let paid = paid_for(|| verify(stored, password, configured));
                assert_eq!(paid, configured.get());
            }
        }
    }

    #[test]
    fn nothing_is_the_password_of_nobody() {
        for password in ["", "x"] {
            assert!(!verify(None, password, iterations(1)));
        }
    }

    #[test]
    fn a_hash_is_raised_and_never_lowered() {
        let stored = hash("x\0");
        for fewer in [1, 999, 1000] {
            assert!(stored.raised("x\0", iterations(fewer)).is_none());
        }
        let raised = stored.raised("x\0", iterations(1500)).expect("more");
        assert!(raised.to_text().starts_with("pbkdf2-sha256$1500$"));
        assert!(is_password(&raised, "x\0") && !is_password(&raised, "x"));
        assert_ne!(raised.hash, stored.hash);
    }

    #[test]
    fn the_mark_is_that_of_one_password() {
        let stored = hash("x");
        let raised = stored.raised("x", iterations(1500)).expect("more");
        for text in [stored.to_text(), raised.to_text()] {
            assert!(text.contains(&stored.mark()), "{text}");
        }
        assert!(!hash("x").to_text().contains(&stored.mark()));
    }
}
