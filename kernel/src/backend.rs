//! Which backend is used.

use crate::esp::{EmbeddedKernel, EmbeddedOptions, EspEvents, EspSockets};
use crate::{Events, Kernel, KernelError, Ledger, NoneKernel, XfrmKernel, XfrmOptions};

/// What the administrator asks for (`protostack=`, `--use-xfrm`, `--use-embedded`,
/// `--use-none`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protostack {
    /// XFRM where the kernel can install an ESP SA, the embedded data plane elsewhere.
    #[default]
    Auto,
    /// The kernel's own IPsec.
    Xfrm,
    /// The embedded data plane, on a TUN device.
    Embedded,
    /// Negotiate, install nothing.
    None,
}

impl std::str::FromStr for Protostack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "xfrm" | "netkey" => Ok(Self::Xfrm),
            "embedded" => Ok(Self::Embedded),
            "none" => Ok(Self::None),
            other => Err(format!("protostack '{other}' is not one of auto, xfrm, embedded, none")),
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
    /// What belongs to the embedded data plane, where that is used.
    pub esp: Option<EspParts>,
    /// Sentences for the log.
    pub notes: Vec<String>,
}

/// What the embedded data plane and IKE need of each other.
#[derive(Debug)]
pub struct EspParts {
    /// ESP on IKE's sockets.
    pub sockets: EspSockets,
    /// What the data plane tells.
    pub events: EspEvents,
}

/// How backends are opened.
#[derive(Debug, Default)]
pub struct BackendOptions {
    /// Of XFRM.
    pub xfrm: XfrmOptions,
    /// Of the embedded data plane.
    pub embedded: EmbeddedOptions,
}

/// Opens the backend that is asked for, and clears the kernel of what a predecessor that
/// was killed may have left.
///
/// # Errors
/// See [`KernelError`].
pub fn choose(wanted: Protostack, options: BackendOptions) -> Result<Backend, KernelError> {
    match wanted {
        Protostack::None => {
            let notes = vec!["using no kernel IPsec: SAs are negotiated and not installed".into()];
            let events = Events::open(false, Vec::new())?;
            Ok(Backend { kernel: Box::<NoneKernel>::default(), events, esp: None, notes })
        }
        Protostack::Xfrm => xfrm(&options.xfrm),
        Protostack::Embedded => embedded(options.embedded, "as asked for"),
        Protostack::Auto => auto(options),
    }
}

fn xfrm(options: &XfrmOptions) -> Result<Backend, KernelError> {
    let mut kernel = XfrmKernel::open(options)?;
    kernel.reset()?;
    let mut notes = vec!["using the Linux kernel's XFRM".to_owned()];
    notes.extend(kernel.capabilities().esp_missing.clone());
    notes.extend(kernel.notes().iter().cloned());
    let events = Events::open(true, kernel.ports())?;
    Ok(Backend { kernel: Box::new(kernel), events, esp: None, notes })
}

fn embedded(options: EmbeddedOptions, why: &str) -> Result<Backend, KernelError> {
    let (kernel, told) = EmbeddedKernel::open(options)?;
    let mut notes = vec![format!("using the embedded data plane on {} ({why})", kernel.device())];
    notes.extend(kernel.notes().iter().cloned());
    let events = Events::open(false, kernel.ports())?;
    let esp = Some(EspParts { sockets: kernel.sockets(), events: told });
    Ok(Backend { kernel: Box::new(kernel), events, esp, notes })
}

/// XFRM where it really installs an ESP SA; otherwise the embedded data plane. Where neither
/// is to be had, XFRM says what it lacks.
fn auto(options: BackendOptions) -> Result<Backend, KernelError> {
    let why = match xfrm(&options.xfrm) {
        Ok(found) if found.kernel.capabilities().esp => return Ok(found),
        Ok(found) => {
            let why = found.kernel.capabilities().esp_missing.clone().unwrap_or_default();
            match embedded(options.embedded, &why) {
                Ok(instead) => return Ok(instead),
                Err(error) => {
                    let mut found = found;
                    found
                        .notes
                        .push(format!("the embedded data plane cannot be used either: {error}"));
                    return Ok(found);
                }
            }
        }
        Err(error) => error.to_string(),
    };
    embedded(options.embedded, &why)
}

/// Opens the backend again, over the ledger of one that has panicked: nothing is cleared,
/// and what it had installed is known. The embedded data plane goes on meanwhile, and `esp`
/// leads to it.
///
/// # Errors
/// See [`KernelError`].
pub fn reopen(
    wanted: Protostack,
    options: &XfrmOptions,
    esp: Option<&EspSockets>,
    ledger: Ledger,
) -> Result<Box<dyn Kernel>, KernelError> {
    let mut kernel: Box<dyn Kernel> = match wanted {
        Protostack::None => Box::<NoneKernel>::default(),
        Protostack::Auto | Protostack::Xfrm => Box::new(XfrmKernel::open(options)?),
        Protostack::Embedded => {
            let Some(esp) = esp else {
                let why = "nothing leads to it".to_owned();
                return Err(KernelError { what: "find the data plane".into(), errno: 0, why });
            };
            return Ok(Box::new(EmbeddedKernel::again(esp, ledger)?));
        }
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
        assert_eq!(read("embedded"), Ok(Protostack::Embedded));
        assert_eq!((read("xfrm"), read("none")), (Ok(Protostack::Xfrm), Ok(Protostack::None)));
        assert!(read("klips").unwrap_err().contains("'klips'"));
    }
}
