//! Which backend is used.

use crate::{Events, Kernel, KernelError, Ledger, NoneKernel, XfrmKernel, XfrmOptions};

/// What the administrator asks for (`protostack=`, `--use-xfrm`, `--use-none`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protostack {
    /// The best that there is: XFRM so far.
    #[default]
    Auto,
    /// The kernel's own IPsec.
    Xfrm,
    /// Negotiate, install nothing.
    None,
}

impl std::str::FromStr for Protostack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "xfrm" | "netkey" => Ok(Self::Xfrm),
            "none" => Ok(Self::None),
            other => Err(format!("protostack '{other}' is not one of auto, xfrm, none")),
        }
    }
}

/// A backend with what belongs to it.
#[derive(Debug)]
pub struct Backend {
    /// The backend.
    pub kernel: Box<dyn Kernel>,
    /// What the kernel tells.
    pub events: Events,
    /// Sentences for the log.
    pub notes: Vec<String>,
}

/// Opens the backend that is asked for, and clears the kernel of what a predecessor that
/// was killed may have left.
///
/// # Errors
/// See [`KernelError`].
pub fn choose(wanted: Protostack, options: &XfrmOptions) -> Result<Backend, KernelError> {
    if wanted == Protostack::None {
        let notes = vec!["using no kernel IPsec: SAs are negotiated and not installed".into()];
        let events = Events::open(false, Vec::new())?;
        return Ok(Backend { kernel: Box::<NoneKernel>::default(), events, notes });
    }
    let mut kernel = XfrmKernel::open(options)?;
    kernel.reset()?;
    let mut notes = vec!["using the Linux kernel's XFRM".to_owned()];
    if wanted == Protostack::Auto {
        notes = vec!["using the Linux kernel's XFRM (protostack=auto)".to_owned()];
    }
    notes.extend(kernel.capabilities().esp_missing.clone());
    notes.extend(kernel.notes().iter().cloned());
    let events = Events::open(true, kernel.ports())?;
    Ok(Backend { kernel: Box::new(kernel), events, notes })
}

/// Opens the backend again, over the ledger of one that has panicked: nothing is cleared,
/// and what it had installed is known.
///
/// # Errors
/// See [`KernelError`].
pub fn reopen(
    wanted: Protostack,
    options: &XfrmOptions,
    ledger: Ledger,
) -> Result<Box<dyn Kernel>, KernelError> {
    let mut kernel: Box<dyn Kernel> = match wanted {
        Protostack::None => Box::<NoneKernel>::default(),
        Protostack::Auto | Protostack::Xfrm => Box::new(XfrmKernel::open(options)?),
    };
    kernel.adopt(ledger);
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protostack_is_read_and_what_is_unknown_is_named() {
        let read = |text: &str| text.parse::<Protostack>();
        assert_eq!(read("auto"), Ok(Protostack::Auto));
        assert_eq!((read("xfrm"), read("none")), (Ok(Protostack::Xfrm), Ok(Protostack::None)));
        assert!(read("klips").unwrap_err().contains("'klips'"));
    }
}
