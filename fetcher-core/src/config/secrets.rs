//! Every secret that a configuration holds or names.

use crate::secret::Secret;

use super::files::Files as _;
use super::value::{Node, Value};
use super::{Config, Disk};

impl Config {
    /// The values of every secret, for a [`Redactor`](crate::Redactor): what the files hold that are named for tokens
    /// and passwords, addresses and headers that may be secrets, and the environment variables that were put into the
    /// configuration and whose names say so.
    ///
    /// The files are read now. One that cannot be read is left out: whoever needs it will say so.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.secret_variables.clone();
        self.effective.values().for_each(|node| collect(node, &mut secrets));
        secrets
    }
}

fn collect(node: &Node, secrets: &mut Vec<Secret>) {
    /// A shorter value of a header is a word such as `default`, and masking it would garble every log.
    const SHORTEST: usize = 8;
    match &node.value {
        Value::SecretFile(path) => {
            let text = Disk.read(path).unwrap_or_default();
            // Of a private key no part is ever printed, and its lines are too many to look for.
            if !text.contains("-----BEGIN ") {
                secrets.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new));
            }
        }
        Value::Secret(secret) => {
            let text = secret.expose();
            let bare = text.rsplit(' ').next().unwrap_or(text);
            secrets.extend([text, bare].into_iter().filter(|text| text.len() >= SHORTEST).map(Secret::new));
        }
        Value::List(nodes) => nodes.iter().for_each(|node| collect(node, secrets)),
        Value::Table(fields) => fields.values().for_each(|node| collect(node, secrets)),
        Value::Bad
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Json(_)
        | Value::Text(_)
        | Value::Time(..)
        | Value::Size(..)
        | Value::Path(_)
        | Value::Requirements(..) => {}
    }
}
