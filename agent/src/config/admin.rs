//! The section `[admin]`.

use std::path::PathBuf;

use super::file::AdminSection;
use super::resolve::{loopback, tls};
use super::violations::Violations;
use super::{AdminConfig, AdminListen};

pub(super) fn resolve(v: &mut Violations, section: AdminSection) -> AdminConfig {
    let tls = tls(
        v,
        "admin",
        section.tls_certificate_file,
        section.tls_key_file,
    );
    let socket = section
        .listen
        .as_deref()
        .and_then(|at| at.strip_prefix("unix:"));
    let listen = match socket {
        Some(path) => AdminListen::Unix(PathBuf::from(path)),
        None => AdminListen::Tcp(v.socket("admin.listen", section.listen, loopback(31602))),
    };
    match &listen {
        AdminListen::Tcp(at) if !at.ip().is_loopback() => {
            if tls.is_none() || section.token_file.is_none() {
                v.add(format!(
                    "admin.listen: {at} can be reached from other machines; give a loopback address, such as \
                     127.0.0.1:31602, or admin.token_file, admin.tls_certificate_file and admin.tls_key_file"
                ));
            }
        }
        AdminListen::Tcp(_) => {}
        AdminListen::Unix(path) if !path.is_absolute() => {
            v.add("admin.listen: give an absolute path after unix:, such as unix:/run/dfaas/admin.sock");
        }
        AdminListen::Unix(_) if tls.is_some() => {
            v.add("admin.tls_certificate_file: is for TCP, and admin.listen is a Unix socket; remove one");
        }
        AdminListen::Unix(_) => {}
    }
    AdminConfig {
        listen,
        token_file: section.token_file,
        tls,
    }
}
