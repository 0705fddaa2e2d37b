//! What a key and a table of keys are: what the reader accepts and suggests, what the manual and the JSON Schema say.

/// A table of the configuration, as in `[fetcher]`.
#[derive(Debug)]
pub(crate) struct TableDeclaration {
    /// Its keys, in the order of the manual.
    pub(crate) keys: &'static [KeyDeclaration],
    /// Further keys by the value of the key `kind`.
    pub(crate) kinds: &'static [(&'static str, &'static [KeyDeclaration])],
    /// Keys of which at most one is given.
    pub(crate) choices: &'static [ExclusiveKeys],
    /// Keys that need another key of the same table: the first needs the second.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Whether other tables lend it keys, so that only then it is known what is missing.
    pub(crate) layered: bool,
}

impl TableDeclaration {
    /// A table without any keys, to begin with.
    pub(crate) const EMPTY: TableDeclaration =
        TableDeclaration { keys: &[], kinds: &[], choices: &[], needs: &[], layered: false };
}

/// Keys that exclude each other.
#[derive(Debug)]
pub(crate) struct ExclusiveKeys {
    /// The keys.
    pub(crate) keys: &'static [&'static str],
    /// Whether one of them has to be there, for all of a table or, where the table has kinds, for a kind.
    pub(crate) required: KeyRequirement,
}

impl ExclusiveKeys {
    /// Of these keys at most one is given.
    pub(crate) const fn at_most_one(keys: &'static [&'static str]) -> Self {
        Self { keys, required: KeyRequirement::Never }
    }
}

/// Whether one key of a [`ExclusiveKeys`] has to be given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyRequirement {
    /// No.
    Never,
    /// Yes.
    Always,
    /// Yes where `kind` is one of these.
    ForKinds(&'static [&'static str]),
}

/// One key.
#[derive(Debug)]
pub(crate) struct KeyDeclaration {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: ValueKind,
    /// What holds where it is not given.
    pub(crate) fallback: KeyDefault,
    /// A value that is not the default, in TOML.
    pub(crate) example: &'static str,
    /// What it is for, in a sentence or two: the documentation of the field that holds it, as rustc has it.
    documentation: &'static str,
}

impl KeyDeclaration {
    /// A key of a table that is declared by `config_table!`, which adds what it is for.
    pub(crate) const fn new(name: &'static str, kind: ValueKind, fallback: KeyDefault, example: &'static str) -> Self {
        Self { name, kind, fallback, example, documentation: "" }
    }

    /// The same key, with what it is for.
    pub(crate) const fn documented(self, documentation: &'static str) -> Self {
        Self { documentation, ..self }
    }

    /// What it is for, in a sentence or two.
    pub(crate) fn meaning(&self) -> &'static str {
        self.documentation.trim_start()
    }
}

/// What holds where a key is not given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyDefault {
    /// This value, in TOML.
    Value(&'static str),
    /// Something that is no fixed value, in words.
    Words(&'static str),
    /// It has to be given.
    Required,
}

/// What a value is, and so how it is checked.
#[derive(Debug)]
pub(crate) enum ValueKind {
    /// Text that is not empty and has no control characters.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A duration.
    Time(MinimumDuration),
    /// A size in bytes.
    Size,
    /// One of some words.
    Word(&'static [&'static str]),
    /// `true`, `false`, or one of some words.
    BoolOr(&'static [&'static str]),
    /// A path that need not exist.
    Path,
    /// A path inside a repository.
    InnerPath,
    /// A file that has to be there.
    File,
    /// A file that has to be there and that nobody else should read.
    SecretFile,
    /// A git repository: an address, or a path.
    Repository,
    /// An address with one of these schemes.
    Url(&'static [&'static str]),
    /// An address with one of these schemes that may itself be a secret.
    SecretUrl(&'static [&'static str]),
    /// `sendmail`, `sendmail:PATH`, or an address of a mail server.
    MailServer,
    /// A host or IP address, and a port.
    Listen,
    /// A mail address.
    Mail,
    /// An IRC channel or nick name.
    IrcName,
    /// A name that may stand in paths and addresses: a [`ProjectName`](crate::ProjectName) or the like.
    Name,
    /// A [`BranchName`](crate::BranchName).
    Branch,
    /// A branch's name, or a glob over such names.
    Branches,
    /// A name, or a glob over names.
    Glob,
    /// An [`ElementName`](crate::ElementName).
    Element,
    /// A value of a project option: text, number, boolean, or a list of text.
    OptionValue,
    /// The value of a header of HTTP, which may be a secret.
    Header,
    /// The name of an environment variable.
    Variable,
    /// A version of this program.
    Version,
    /// A list of at least so many.
    List(&'static ValueKind, usize),
    /// A table of any names.
    Map(&'static ValueKind),
    /// A program and its arguments.
    Command,
    /// The same for a program that may be a file of the checkout; it may be empty.
    CheckoutCommand,
    /// A date of TOML's.
    Date,
    /// A list of requirements, or the name of a requirements file.
    Requirements,
    /// Any table, handed on as it is.
    Free,
    /// A table.
    Table(&'static TableDeclaration),
    /// `true`, `false`, or a table.
    BoolOrTable(&'static TableDeclaration),
    /// A list of tables.
    Tables(&'static TableDeclaration),
}

/// The least value of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MinimumDuration {
    /// It may be zero.
    Zero,
    /// It has to be a second at least.
    Second,
}

impl TableDeclaration {
    /// The keys that a table of this kind may have; all there are where the kind is not known.
    pub(crate) fn keys_of(&self, kind: Option<&str>) -> Vec<&'static KeyDeclaration> {
        let of_kind = self.kinds.iter().filter(|(name, _)| kind.is_none_or(|kind| kind == *name));
        let mut keys: Vec<&'static KeyDeclaration> = self.keys.iter().collect();
        for key in of_kind.flat_map(|(_, keys)| *keys) {
            if keys.iter().all(|known| known.name != key.name) {
                keys.push(key);
            }
        }
        keys
    }

    /// The kinds that a key belongs to.
    pub(crate) fn kinds_with(&self, name: &str) -> Vec<&'static str> {
        let has = |keys: &[KeyDeclaration]| keys.iter().any(|key| key.name == name);
        self.kinds.iter().filter(|(_, keys)| has(keys)).map(|(kind, _)| *kind).collect()
    }
}

impl ValueKind {
    /// What a value of this kind is, with its article, for the manual and for messages.
    pub(crate) fn words(&self) -> String {
        match self {
            ValueKind::OptionValue => "text, a boolean, a number or a list of text".to_owned(),
            ValueKind::Text | ValueKind::Header => "a string".to_owned(),
            ValueKind::Bool => "a boolean".to_owned(),
            ValueKind::Number(least, most) => format!("a whole number from {least} to {most}"),
            ValueKind::Time(_) => "a duration in quotes".to_owned(),
            ValueKind::Size => "a size in quotes, or a number of bytes".to_owned(),
            ValueKind::Word(words) => format!("one of {}", quoted(words)),
            ValueKind::BoolOr(words) => format!("true, false or {}", quoted(words)),
            ValueKind::Path => "a path".to_owned(),
            ValueKind::InnerPath => "a path inside the repository".to_owned(),
            ValueKind::File | ValueKind::SecretFile => "the name of a file".to_owned(),
            ValueKind::Repository => "the address of a git repository, or a path".to_owned(),
            ValueKind::Url(schemes) | ValueKind::SecretUrl(schemes) => format!("an address ({})", schemes.join(", ")),
            ValueKind::MailServer => "the address of a mail server, or sendmail".to_owned(),
            ValueKind::Listen => "an address and port".to_owned(),
            ValueKind::Mail => "a mail address".to_owned(),
            ValueKind::IrcName => "the name of a channel or person".to_owned(),
            ValueKind::Name => "a name of letters, digits, '.', '_' and '-'".to_owned(),
            ValueKind::Branch => "a branch's name".to_owned(),
            ValueKind::Branches => "a branch's name or a glob".to_owned(),
            ValueKind::Glob => "a name or a glob".to_owned(),
            ValueKind::Element => "an element's name".to_owned(),
            ValueKind::Variable => "the name of an environment variable".to_owned(),
            ValueKind::Version => "a version".to_owned(),
            ValueKind::List(of, _) => format!("a list, each {}", of.words()),
            ValueKind::Map(of) => format!("a table, each value {}", of.words()),
            ValueKind::Command | ValueKind::CheckoutCommand => "a list: a program and its arguments".to_owned(),
            ValueKind::Date => "a date, without quotes".to_owned(),
            ValueKind::Requirements => "a list of requirements, or the name of a file with them".to_owned(),
            ValueKind::Free | ValueKind::Table(_) => "a table".to_owned(),
            ValueKind::BoolOrTable(_) => "true, false or a table".to_owned(),
            ValueKind::Tables(_) => "a list of tables".to_owned(),
        }
    }
}

impl ValueKind {
    /// Whether a value of this kind may be a string.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            ValueKind::Bool
            | ValueKind::Number(..)
            | ValueKind::List(..)
            | ValueKind::Map(_)
            | ValueKind::Command
            | ValueKind::CheckoutCommand
            | ValueKind::Date
            | ValueKind::Free
            | ValueKind::Table(_)
            | ValueKind::BoolOrTable(_)
            | ValueKind::Tables(_) => false,
            ValueKind::Text
            | ValueKind::Time(_)
            | ValueKind::Size
            | ValueKind::Word(_)
            | ValueKind::BoolOr(_)
            | ValueKind::Path
            | ValueKind::InnerPath
            | ValueKind::File
            | ValueKind::SecretFile
            | ValueKind::Requirements
            | ValueKind::Repository
            | ValueKind::Url(_)
            | ValueKind::SecretUrl(_)
            | ValueKind::MailServer
            | ValueKind::Listen
            | ValueKind::Mail
            | ValueKind::IrcName
            | ValueKind::Name
            | ValueKind::Branch
            | ValueKind::Branches
            | ValueKind::Glob
            | ValueKind::Element
            | ValueKind::OptionValue
            | ValueKind::Header
            | ValueKind::Variable
            | ValueKind::Version => true,
        }
    }
}

/// Words in quotes, with commas between them.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}
