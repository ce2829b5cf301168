//! Models of the Hugging Face hub, by name: `google/mt5-small`, also by the names of old without a slash (`t5-small`); and
//! tokenizers and adapters alone.
//!
//! Files are kept where Hugging Face's tools keep theirs and shared with them; what is there already is not
//! fetched again, and an interrupted download goes on where it stopped. Only what this project reads is
//! fetched: configuration, tokenizer, and one form of the weights.

mod files;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use hf_hub::Cache;
use hf_hub::api::sync::{ApiBuilder, ApiError};

use self::files::{Cached, Part, plain};
use crate::error::{Error, Result};
use crate::progress::{Progress, Stopped, Watch};

/// Where the hub is, and where its files are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// The hub's address, without a slash at its end.
    pub endpoint: String,
    /// The folder with a `models--…` folder for each model.
    pub cache: PathBuf,
    /// The user's secret, for models that need one.
    pub token: Option<String>,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// The branch, tag or commit that is taken; `main` by default.
    pub revision: Option<String>,
}

/// The secret is not shown.
impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("revision", &self.revision)
            .finish()
    }
}

/// Models of the hub that may be named without their organisation, as they were at first.
const OLD_NAMES: [(&str, &str); 5] = [
    ("t5-small", "google-t5/t5-small"),
    ("t5-base", "google-t5/t5-base"),
    ("t5-large", "google-t5/t5-large"),
    ("t5-3b", "google-t5/t5-3b"),
    ("t5-11b", "google-t5/t5-11b"),
];

impl HubOptions {
    /// From the environment, as Hugging Face's tools read it: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`,
    /// `XDG_CACHE_HOME`, `HF_TOKEN` (else the file that `hf auth login` writes), `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name| var(name).filter(|value| !value.is_empty());
        let home = match (var("HF_HOME"), var("XDG_CACHE_HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(cache)) => Path::new(&cache).join("huggingface"),
            (None, None) => std::env::home_dir().unwrap_or_default().join(".cache/huggingface"),
        };
        let token_file = var("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = var("HF_TOKEN").or_else(|| fs::read_to_string(token_file).ok());
        let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let yes = |value: String| matches!(&*value.to_ascii_lowercase(), "1" | "true" | "yes" | "on");
        Self {
            endpoint: with_scheme(endpoint.trim_end_matches('/')),
            cache: var("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            token: token.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
            offline: var("HF_HUB_OFFLINE").is_some_and(yes),
            revision: None,
        }
    }

    fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

/// An address with its scheme: `https` where none is given, but `http` on this machine.
fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") {
        return endpoint.to_owned();
    }
    let host = endpoint.split(['/', ':']).next().unwrap_or_default();
    let here = host == "localhost" || host.starts_with("127.") || endpoint.starts_with("[::1]");
    format!("{}://{endpoint}", if here { "http" } else { "https" })
}

/// Whether `name` can be a model of the hub: `organisation/model` (or one of the names of old), and not something on the
/// disk.
pub fn is_name(name: &str) -> bool {
    if OLD_NAMES.iter().any(|(old, _)| *old == name) {
        return !Path::new(name).exists();
    }
    let part = |p: &str| {
        let plain = p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        plain
            && (1..=96).contains(&p.len())
            && !p.starts_with(['.', '-'])
            && !p.ends_with(['.', '-'])
            && !p.contains("..")
    };
    let two = name.split_once('/').is_some_and(|(a, b)| part(a) && part(b));
    two && !Path::new(name).exists()
}

/// What a model is named by: a folder, a file or the prefix of a TensorFlow checkpoint on the disk, else a model of
/// the hub, which is fetched.
///
/// # Errors
/// [`Error::NoModel`] where it is neither, and those of [`fetch`].
pub fn locate(model: &str, options: &HubOptions, watch: &mut dyn Watch) -> Result<PathBuf> {
    let path = Path::new(model);
    let here = path.exists() || crate::tensorflow::find(path)?.is_some();
    if here || crate::checkpoint::is_half_a_bundle(path) {
        return Ok(path.to_owned());
    }
    elsewhere(model, Part::Model, options, watch)
}

/// What a tokenizer is named by: a file or folder on the disk, else a model of the hub, of which the tokenizer's files
/// alone are fetched.
///
/// # Errors
/// As [`locate`].
pub fn locate_tokenizer(name: &str, options: &HubOptions, watch: &mut dyn Watch) -> Result<PathBuf> {
    match Path::new(name) {
        path if path.exists() => Ok(path.to_owned()),
        _ => elsewhere(name, Part::Tokenizer, options, watch),
    }
}

/// What is not on the disk.
fn elsewhere(name: &str, part: Part, options: &HubOptions, watch: &mut dyn Watch) -> Result<PathBuf> {
    if is_name(name) {
        // Whoever meant a path must not read of the hub alone.
        return fetch_part(name, part, options, watch).map_err(|error| match error {
            Error::NoModel { path, what } => Error::NoModel {
                path,
                what: format!("no such file or folder here, and as a model of the hub: {what}"),
            },
            error => error,
        });
    }
    let what =
        "no such file or folder, and not the name of a model on the hub, such as google/mt5-small".to_owned();
    Err(Error::NoModel { path: PathBuf::from(name), what })
}

/// Fetches the model `name` as far as it is not in the cache and gives the folder that holds it.
///
/// Without a connection, or where `offline` is set, what the cache holds is used if it is complete.
///
/// # Errors
/// [`Error::NoModel`] where the hub has no such model, none that is read here, or cannot be reached; or
/// where it needs a token. [`Error::Stopped`] where `watch`, which sees each file as a stage, stopped it; a later call
/// goes on with the same bytes.
pub fn fetch(name: &str, options: &HubOptions, watch: &mut dyn Watch) -> Result<PathBuf> {
    fetch_part(name, Part::Model, options, watch)
}

fn fetch_part(name: &str, part: Part, options: &HubOptions, watch: &mut dyn Watch) -> Result<PathBuf> {
    let error = |what: String| Error::NoModel { path: PathBuf::from(name), what };
    if !is_name(name) {
        return Err(error("not the name of a model on the hub, such as google/mt5-small".to_owned()));
    }
    let revision = options.revision();
    if !is_revision(revision) {
        return Err(error(format!(
            "{revision:?} cannot be a branch, a tag or a commit; give `revision` such as main"
        )));
    }
    let name = OLD_NAMES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
    let cached = Cached { cache: Cache::new(options.cache.clone()), name, revision, part };
    if options.offline {
        let what = format!(
            "not, or not wholly, in the cache {}, and HF_HUB_OFFLINE is set",
            options.cache.display()
        );
        return cached.complete().ok_or_else(|| error(what));
    }
    // A library that is not ours reads what a server of anyone's answers: its panics are errors.
    let online = catch_unwind(AssertUnwindSafe(|| download(options, &cached, watch)));
    match online {
        Ok(Ok(folder)) => Ok(folder),
        Ok(Err(Failure::Offline(what))) => cached.complete().ok_or_else(|| error(what)),
        Ok(Err(Failure::Other(what))) => Err(error(what)),
        Err(end) if end.is::<Stopped>() => Err(Stopped.into()),
        Err(_) => Err(error(format!("{} gave an answer that is not understood", options.endpoint))),
    }
}

/// Why nothing was fetched.
enum Failure {
    /// The hub was not reached; the cache may do.
    Offline(String),
    Other(String),
}

fn download(
    options: &HubOptions,
    cached: &Cached,
    watch: &mut dyn Watch,
) -> std::result::Result<PathBuf, Failure> {
    let failure = |what: &str, e: ApiError| failure(what, e, options);
    let api = ApiBuilder::from_cache(cached.cache.clone())
        .with_endpoint(options.endpoint.clone())
        .with_token(options.token.clone())
        .with_retries(3)
        .with_user_agent("t5kit", env!("CARGO_PKG_VERSION"))
        .build()
        .map_err(|e| failure("the client", e))?;
    let repo = api.repo(cached.repo());
    let info = repo.info().map_err(|e| failure("the list of files", e))?;
    let names: Vec<&str> = info.siblings.iter().map(|s| &*s.rfilename).collect();
    let wanted = cached.part.wanted(&names).map_err(Failure::Other)?;

    // Files of an older commit are not mixed with those of the present one.
    let current = cached.commit().as_deref() == Some(&*info.sha);
    let mut folder = None;
    for file in wanted {
        let path = match current.then(|| cached.file(file)).flatten() {
            Some(path) => path,
            None => {
                let meta = api.metadata(&repo.url(file)).map_err(|e| failure(file, e))?;
                // The client makes names of these: a mirror must not be able to write elsewhere.
                if !plain(meta.etag()) || !plain(meta.commit_hash()) {
                    let what = "the server's answer has no sound ETag and commit";
                    return Err(Failure::Other(format!("{file}: {what}")));
                }
                let watch =
                    Forward { watch, stage: format!("fetching {file}"), at: 0, total: meta.size() as u64 };
                let path = repo.download_with_progress(file, watch).map_err(|e| failure(file, e))?;
                check_size(&path, meta.size() as u64).map_err(Failure::Other)?;
                path
            }
        };
        folder = path.parent().map(Path::to_owned);
    }
    folder.ok_or_else(|| Failure::Other("it has no files".to_owned()))
}

/// Whether this can be a branch, a tag or a commit, and a part of a path that leads nowhere else.
fn is_revision(s: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && !p.starts_with('.')
            && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    s.len() <= 128 && s.split('/').all(part)
}

/// Removes a file of another size than it should have, so that it is fetched again.
fn check_size(path: &Path, size: u64) -> std::result::Result<(), String> {
    let have = fs::metadata(path).map_or(0, |m| m.len());
    if have == size {
        return Ok(());
    }
    for file in [fs::canonicalize(path).unwrap_or_default(), path.to_owned()] {
        let _ = fs::remove_file(file);
    }
    Err(format!("{}: {have} bytes instead of {size} were fetched; try again", path.display()))
}

fn failure(what: &str, e: ApiError, options: &HubOptions) -> Failure {
    let at = &options.endpoint;
    let request = match &e {
        ApiError::RequestError(request) => Some(&**request),
        ApiError::TooManyRetries(inner) => match &**inner {
            ApiError::RequestError(request) => Some(&**request),
            _ => None,
        },
        _ => None,
    };
    match request {
        Some(ureq::Error::StatusCode(401 | 403)) if options.token.is_none() => {
            Failure::Other(format!("{at} has no such model, or it needs a token: set HF_TOKEN"))
        }
        Some(ureq::Error::StatusCode(401 | 403)) => {
            Failure::Other(format!("{at} has no such model, or HF_TOKEN does not give access to it"))
        }
        Some(ureq::Error::StatusCode(404)) => Failure::Other(format!("{at} does not have it ({what})")),
        Some(ureq::Error::StatusCode(n)) => {
            Failure::Offline(format!("{at} answers {n} for {what}; try again later"))
        }
        Some(request) => Failure::Offline(format!(
            "{at} cannot be reached for {what}: {request}; set HF_ENDPOINT to a mirror, or fetch the files by hand"
        )),
        None => Failure::Other(format!("{what}: {e}")),
    }
}

/// Passes the client's reports on; it announces a file twice, and again at every new attempt.
struct Forward<'a> {
    watch: &'a mut dyn Watch,
    stage: String,
    /// Bytes that are there, those of an earlier attempt included.
    at: u64,
    total: u64,
}

impl hf_hub::api::Progress for Forward<'_> {
    fn init(&mut self, _: usize, _: &str) {
        self.at = 0;
    }

    /// The client asks nobody whether to go on; unwinding to [`fetch`] is the one way out of its loop. No panic: no
    /// hook is called, and nothing is printed.
    fn update(&mut self, size: usize) {
        self.at += size as u64;
        let at = Progress::bytes(&self.stage, self.at, Some(self.total));
        if let Err(stopped) = self.watch.go_on(at) {
            resume_unwind(Box::new(stopped));
        }
    }

    fn finish(&mut self) {}
}
