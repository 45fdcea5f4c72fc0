//! An IKE SA as octets, and back: for the next process, or to look at what one was.
//!
//! All of it is there, its keys and those of its Child SAs included, so what comes out is a
//! [`Secret`]: whoever writes it anywhere means to. What is shared between IKE SAs (a
//! connection's policy) is written with each of them. Instants are those of the clock that the
//! IKE SA was handled with, which has to go on where it was.

use crate::IkeSa;
use crate::child_sa::Child;
use crate::children::Children;
use pluto_crypto::Secret;
use pluto_crypto::snapshot::with_secrets;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};
use zeroize::Zeroize;

/// Of what is written here. Another one is refused: the state is what one version of this crate
/// knows.
const VERSION: u32 = 1;

/// Why a snapshot cannot be made, or is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotError(String);

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot of an IKE SA: {}", self.0)
    }
}

impl std::error::Error for SnapshotError {}

impl From<serde_json::Error> for SnapshotError {
    fn from(error: serde_json::Error) -> Self {
        // What was read is secret: only the place is told.
        let category = match error.classify() {
            serde_json::error::Category::Io => "cannot be written",
            serde_json::error::Category::Syntax | serde_json::error::Category::Eof => "is none",
            serde_json::error::Category::Data => "does not fit this version",
        };
        Self(format!("{category} (line {}, column {})", error.line(), error.column()))
    }
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    sa: &'a IkeSa,
}

#[derive(Deserialize)]
struct Read {
    sa: IkeSa,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl IkeSa {
    /// All that it is.
    ///
    /// # Errors
    /// A key cannot be taken out of the library.
    pub fn snapshot(&self) -> Result<Secret, SnapshotError> {
        let mut octets = Wiped(Vec::with_capacity(16 << 10));
        with_secrets(|| {
            serde_json::to_writer(&mut octets, &Written { version: VERSION, sa: self })
        })?;
        Ok(Secret::new(std::mem::take(&mut octets.0)))
    }

    /// What [`Self::snapshot`] has written.
    ///
    /// # Errors
    /// It is not that, or that of another version.
    pub fn from_snapshot(snapshot: &Secret) -> Result<Self, SnapshotError> {
        let Head { version } = serde_json::from_slice(snapshot.expose())?;
        if version != VERSION {
            return Err(SnapshotError(format!("is of version {version}, not {VERSION}")));
        }
        Ok(serde_json::from_slice::<Read>(snapshot.expose())?.sa)
    }
}

/// Octets that grow without leaving copies behind.
struct Wiped(Vec<u8>);

impl Write for Wiped {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let wanted = self.0.len().saturating_add(octets.len());
        if wanted > self.0.capacity() {
            let mut larger = Vec::with_capacity(wanted.saturating_mul(2));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Serialize for Children {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Children {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut children = Self::default();
        for child in Vec::<Child>::deserialize(deserializer)? {
            children.insert(child);
        }
        Ok(children)
    }
}

/// An option of an option, of which JSON cannot tell `Some(None)` from `None`: as a list.
pub(crate) mod nested {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.pop())
    }
}
