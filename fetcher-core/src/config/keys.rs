//! What a key and a table of keys are: what the reader accepts and suggests, what the manual and the JSON Schema say.

/// A table of the configuration, as in `[fetcher]`.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its keys, in the order of the manual.
    pub(crate) keys: &'static [Key],
    /// Further keys by the value of the key `kind`.
    pub(crate) kinds: &'static [(&'static str, &'static [Key])],
    /// Keys of which at most one is given.
    pub(crate) choices: &'static [Choice],
    /// Keys that need another key of the same table: the first needs the second.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Whether other tables lend it keys, so that only then it is known what is missing.
    pub(crate) layered: bool,
}

impl Table {
    /// A table without any keys, to begin with.
    pub(crate) const EMPTY: Table = Table { keys: &[], kinds: &[], choices: &[], needs: &[], layered: false };
}

/// Keys that exclude each other.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The keys.
    pub(crate) keys: &'static [&'static str],
    /// Whether one of them has to be there, for all of a table or, where the table has kinds, for a kind.
    pub(crate) required: Required,
}

impl Choice {
    /// Of these keys at most one is given.
    pub(crate) const fn at_most_one(keys: &'static [&'static str]) -> Self {
        Self { keys, required: Required::Never }
    }
}

/// Whether one key of a [`Choice`] has to be given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Required {
    /// No.
    Never,
    /// Yes.
    Always,
    /// Yes where `kind` is one of these.
    ForKinds(&'static [&'static str]),
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: Kind,
    /// What holds where it is not given.
    pub(crate) fallback: Fallback,
    /// A value that is not the default, in TOML.
    pub(crate) example: &'static str,
    /// What it is for, in a sentence or two: the documentation of the field that holds it, as rustc has it.
    documentation: &'static str,
}

impl Key {
    /// A key of a table that is declared by `config_table!`, which adds what it is for.
    pub(crate) const fn new(name: &'static str, kind: Kind, fallback: Fallback, example: &'static str) -> Self {
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
pub(crate) enum Fallback {
    /// This value, in TOML.
    Value(&'static str),
    /// Something that is no fixed value, in words.
    Words(&'static str),
    /// It has to be given.
    Required,
}

/// What a value is, and so how it is checked.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text that is not empty and has no control characters.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A duration.
    Time(Least),
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
    List(&'static Kind, usize),
    /// A table of any names.
    Map(&'static Kind),
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
    Table(&'static Table),
    /// A list of tables.
    Tables(&'static Table),
}

/// The least value of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Least {
    /// It may be zero.
    Zero,
    /// It has to be a second at least.
    Second,
}

impl Table {
    /// The keys that a table of this kind may have; all there are where the kind is not known.
    pub(crate) fn keys_of(&self, kind: Option<&str>) -> Vec<&'static Key> {
        let of_kind = self.kinds.iter().filter(|(name, _)| kind.is_none_or(|kind| kind == *name));
        let mut keys: Vec<&'static Key> = self.keys.iter().collect();
        for key in of_kind.flat_map(|(_, keys)| *keys) {
            if keys.iter().all(|known| known.name != key.name) {
                keys.push(key);
            }
        }
        keys
    }

    /// The kinds that a key belongs to.
    pub(crate) fn kinds_with(&self, name: &str) -> Vec<&'static str> {
        let has = |keys: &[Key]| keys.iter().any(|key| key.name == name);
        self.kinds.iter().filter(|(_, keys)| has(keys)).map(|(kind, _)| *kind).collect()
    }
}

impl Kind {
    /// What a value of this kind is, with its article, for the manual and for messages.
    pub(crate) fn words(&self) -> String {
        match self {
            Kind::OptionValue => "text, a boolean, a number or a list of text".to_owned(),
            Kind::Text | Kind::Header => "a string".to_owned(),
            Kind::Bool => "a boolean".to_owned(),
            Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Time(_) => "a duration in quotes".to_owned(),
            Kind::Size => "a size in quotes, or a number of bytes".to_owned(),
            Kind::Word(words) => format!("one of {}", quoted(words)),
            Kind::BoolOr(words) => format!("true, false or {}", quoted(words)),
            Kind::Path => "a path".to_owned(),
            Kind::InnerPath => "a path inside the repository".to_owned(),
            Kind::File | Kind::SecretFile => "the name of a file".to_owned(),
            Kind::Repository => "the address of a git repository, or a path".to_owned(),
            Kind::Url(schemes) | Kind::SecretUrl(schemes) => format!("an address ({})", schemes.join(", ")),
            Kind::MailServer => "the address of a mail server, or sendmail".to_owned(),
            Kind::Listen => "an address and port".to_owned(),
            Kind::Mail => "a mail address".to_owned(),
            Kind::IrcName => "the name of a channel or person".to_owned(),
            Kind::Name => "a name of letters, digits, '.', '_' and '-'".to_owned(),
            Kind::Branch => "a branch's name".to_owned(),
            Kind::Branches => "a branch's name or a glob".to_owned(),
            Kind::Glob => "a name or a glob".to_owned(),
            Kind::Element => "an element's name".to_owned(),
            Kind::Variable => "the name of an environment variable".to_owned(),
            Kind::Version => "a version".to_owned(),
            Kind::List(of, _) => format!("a list, each {}", of.words()),
            Kind::Map(of) => format!("a table, each value {}", of.words()),
            Kind::Command | Kind::CheckoutCommand => "a list: a program and its arguments".to_owned(),
            Kind::Date => "a date, without quotes".to_owned(),
            Kind::Requirements => "a list of requirements, or the name of a file with them".to_owned(),
            Kind::Free | Kind::Table(_) => "a table".to_owned(),
            Kind::Tables(_) => "a list of tables".to_owned(),
        }
    }
}

impl Kind {
    /// Whether a value of this kind may be a string.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Kind::Bool
            | Kind::Number(..)
            | Kind::List(..)
            | Kind::Map(_)
            | Kind::Command
            | Kind::CheckoutCommand
            | Kind::Date
            | Kind::Free
            | Kind::Table(_)
            | Kind::Tables(_) => false,
            Kind::Text
            | Kind::Time(_)
            | Kind::Size
            | Kind::Word(_)
            | Kind::BoolOr(_)
            | Kind::Path
            | Kind::InnerPath
            | Kind::File
            | Kind::SecretFile
            | Kind::Requirements
            | Kind::Repository
            | Kind::Url(_)
            | Kind::SecretUrl(_)
            | Kind::MailServer
            | Kind::Listen
            | Kind::Mail
            | Kind::IrcName
            | Kind::Name
            | Kind::Branch
            | Kind::Branches
            | Kind::Glob
            | Kind::Element
            | Kind::OptionValue
            | Kind::Header
            | Kind::Variable
            | Kind::Version => true,
        }
    }
}

/// Words in quotes, with commas between them.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}
