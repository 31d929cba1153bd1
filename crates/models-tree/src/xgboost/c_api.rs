//! XGBoost's C API: every `unsafe` of this crate, under safe types.
//!
//! What XGBoost promises (its `c_api.h` and the chapter "Prediction" of its manual), and what this
//! module leans on:
//! - No exception leaves a function: each returns 0, or −1 and a message for the calling thread.
//! - A matrix copies the values, labels and weights that it is given.
//! - What a function hands out belongs to XGBoost and lives until the same thread calls again with
//!   the same handle; all of it is copied here before the function returns.
//! - Prediction may run on several threads at once with one booster; training may not, which `&mut`
//!   sees to. Saving reads the model as prediction does.
//! - A booster shares the ownership of the matrices that it knows, so either may be freed first.
#![allow(unsafe_code, reason = "calls into a C library; each call states its contract")]

use std::error::Error as _;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

use super::{XgboostError, XgboostVersion};

/// `bst_ulong`.
type Count = u64;
type Handle = *mut c_void;
/// `int function(...)`, 0 for success.
type Status = c_int;

type Result<T> = std::result::Result<T, XgboostError>;

/// The functions of the library. They stay valid: the library is never unloaded.
struct Functions {
    last_error: unsafe extern "C" fn() -> *const c_char,
    matrix_create: unsafe extern "C" fn(*const c_char, *const c_char, *mut Handle) -> Status,
    matrix_set_floats: unsafe extern "C" fn(Handle, *const c_char, *const f32, Count) -> Status,
    matrix_free: unsafe extern "C" fn(Handle) -> Status,
    booster_create: unsafe extern "C" fn(*const Handle, Count, *mut Handle) -> Status,
    booster_free: unsafe extern "C" fn(Handle) -> Status,
    set_param: unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> Status,
    set_names: unsafe extern "C" fn(Handle, *const c_char, *const *const c_char, Count) -> Status,
    update: unsafe extern "C" fn(Handle, c_int, Handle) -> Status,
    boost: Boost,
    predict_matrix: unsafe extern "C" fn(
        Handle,
        Handle,
        *const c_char,
        *mut *const Count,
        *mut Count,
        *mut *const f32,
    ) -> Status,
    predict_dense: unsafe extern "C" fn(
        Handle,
        *const c_char,
        *const c_char,
        Handle,
        *mut *const Count,
        *mut Count,
        *mut *const f32,
    ) -> Status,
    boosted_rounds: unsafe extern "C" fn(Handle, *mut c_int) -> Status,
    slice: unsafe extern "C" fn(Handle, c_int, c_int, c_int, *mut Handle) -> Status,
    save: unsafe extern "C" fn(Handle, *const c_char, *mut Count, *mut *const c_char) -> Status,
    load: unsafe extern "C" fn(Handle, *const c_void, Count) -> Status,
}

/// How a round with given derivatives is called.
enum Boost {
    /// `XGBoosterTrainOneIter`, since 2.1: arrays as JSON.
    Arrays(unsafe extern "C" fn(Handle, Handle, c_int, *const c_char, *const c_char) -> Status),
    /// `XGBoosterBoostOneIter`, before. It writes to neither array.
    Pointers(unsafe extern "C" fn(Handle, Handle, *mut f32, *mut f32, Count) -> Status),
}

/// A loaded library.
pub(super) struct Api {
    path: PathBuf,
    version: XgboostVersion,
    functions: Functions,
}

/// The one library of this process.
static LOADED: OnceLock<Api> = OnceLock::new();
/// Held while a library is loaded.
static LOADING: Mutex<()> = Mutex::new(());

impl Api {
    /// The library that this process has loaded.
    pub(super) fn loaded() -> Option<&'static Self> {
        LOADED.get()
    }

    /// Loads a file. Its links are resolved first: the library finds its own parts by its folder.
    pub(super) fn open(path: &Path) -> Result<&'static Self> {
        let broken = |error: std::io::Error| XgboostError::Broken {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        Self::open_exactly(path.canonicalize().map_err(broken)?)
    }

    /// Loads what the system's loader finds under a file's name.
    pub(super) fn open_by_name(name: &str) -> Result<&'static Self> {
        Self::open_exactly(PathBuf::from(name))
    }

    fn open_exactly(path: PathBuf) -> Result<&'static Self> {
        let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = LOADED.get() {
            return match api.path == path {
                true => Ok(api),
                false => Err(XgboostError::Another { path, loaded: api.path.clone() }),
            };
        }
        let api = Self::load(path)?;
        Ok(LOADED.get_or_init(|| api))
    }

    fn load(path: PathBuf) -> Result<Self> {
        let broken = |reason: String| XgboostError::Broken { path: path.clone(), reason };
        // SAFETY: runs the constructors of the file and of what it needs. The user names the file,
        // or it lies where XGBoost is installed; XGBoost's constructors set up its own registries
        // and have no precondition.
        let library = unsafe { Library::new(&path) }.map_err(|error| {
            // The loader's own words are the source, where it has any.
            broken(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        })?;
        // SAFETY: `void XGBoostVersion(int*, int*, int*)` in every version.
        let version_of = unsafe {
            library
                .get::<unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int)>("XGBoostVersion")
        }
        .map_err(|_| broken("it lacks XGBoostVersion".to_owned()))?;
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three valid pointers to `int`, which is all that the function asks for.
        unsafe { version_of(&raw mut major, &raw mut minor, &raw mut patch) };
        let number = |n: c_int| u32::try_from(n).unwrap_or(0);
        let version =
            XgboostVersion { major: number(major), minor: number(minor), patch: number(patch) };
        if !version.is_accepted() {
            return Err(XgboostError::Version { path, found: version });
        }
        let functions = Functions::load(&library).map_err(broken)?;
        // Its threads may outlive every value of this crate.
        std::mem::forget(library);
        Ok(Self { path, version, functions })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn version(&self) -> XgboostVersion {
        self.version
    }

    /// Turns a function's status into its error.
    fn check(&self, function: &'static str, status: Status) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: takes nothing; returns a string of this thread that lives until its next call.
        let text = unsafe { (self.functions.last_error)() };
        let message = if text.is_null() {
            format!("status {status}")
        } else {
            // SAFETY: not null, ends in NUL, and no call comes before it is copied.
            let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
            // A stack trace follows.
            text.split("Stack trace").next().unwrap_or_default().trim().to_owned()
        };
        Err(XgboostError::Call { function, message })
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("path", &self.path)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Functions {
    fn load(library: &Library) -> std::result::Result<Self, String> {
        /// The function of a name, as a plain pointer.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the field's type is the declaration of that name in `c_api.h`, which is
                // the same in all accepted versions.
                *unsafe { library.get($name) }.map_err(|_| concat!("it lacks ", $name))?
            };
        }
        Ok(Self {
            last_error: function!("XGBGetLastError"),
            matrix_create: function!("XGDMatrixCreateFromDense"),
            matrix_set_floats: function!("XGDMatrixSetFloatInfo"),
            matrix_free: function!("XGDMatrixFree"),
            booster_create: function!("XGBoosterCreate"),
            booster_free: function!("XGBoosterFree"),
            set_param: function!("XGBoosterSetParam"),
            set_names: function!("XGBoosterSetStrFeatureInfo"),
            update: function!("XGBoosterUpdateOneIter"),
            // SAFETY: as above; the second is missing in no version that lacks the first.
            boost: match unsafe { library.get("XGBoosterTrainOneIter") } {
                Ok(function) => Boost::Arrays(*function),
                Err(_) => Boost::Pointers(function!("XGBoosterBoostOneIter")),
            },
            predict_matrix: function!("XGBoosterPredictFromDMatrix"),
            predict_dense: function!("XGBoosterPredictFromDense"),
            boosted_rounds: function!("XGBoosterBoostedRounds"),
            slice: function!("XGBoosterSlice"),
            save: function!("XGBoosterSaveModelToBuffer"),
            load: function!("XGBoosterLoadModelFromBuffer"),
        })
    }
}

/// A text for C.
fn c_string(function: &'static str, text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| XgboostError::Call { function, message: format!("{text:?} holds a NUL") })
}

/// NumPy's array interface of row-major numbers, which XGBoost reads in place.
fn array_interface(values: &[f32], rows: usize, width: usize) -> CString {
    let address = values.as_ptr() as usize;
    let order = if cfg!(target_endian = "big") { '>' } else { '<' };
    let text = format!(
        r#"{{"data":[{address},true],"shape":[{rows},{width}],"typestr":"{order}f4","version":3}}"#
    );
    // Without a NUL, as anyone can see.
    CString::new(text).unwrap_or_default()
}

/// Rows to learn from.
pub(super) struct Matrix {
    api: &'static Api,
    handle: NonNull<c_void>,
    rows: usize,
}

impl Matrix {
    /// Copies row-major records; NaN is "missing".
    ///
    /// Refuses an empty matrix, and records of another length than `rows * width`.
    pub(super) fn new(
        api: &'static Api,
        records: &[f32],
        rows: usize,
        width: usize,
        threads: usize,
    ) -> Result<Self> {
        let function = "XGDMatrixCreateFromDense";
        check_area(function, records, rows, width)?;
        let array = array_interface(records, rows, width);
        let config = c_string(function, &format!(r#"{{"missing":NaN,"nthread":{threads}}}"#))?;
        let mut handle = ptr::null_mut();
        // SAFETY: two strings that end in NUL, the first describing `rows * width` numbers that
        // live through the call (checked above), and a pointer to write the handle to.
        let status = unsafe {
            (api.functions.matrix_create)(array.as_ptr(), config.as_ptr(), &raw mut handle)
        };
        api.check(function, status)?;
        Ok(Self { api, handle: not_null(function, handle)?, rows })
    }

    /// Copies labels or weights, one a row.
    pub(super) fn set(&mut self, field: &str, values: &[f32]) -> Result<()> {
        let function = "XGDMatrixSetFloatInfo";
        let field = c_string(function, field)?;
        // SAFETY: a live handle, a string that ends in NUL, and as many numbers as the length says.
        let status = unsafe {
            (self.api.functions.matrix_set_floats)(
                self.handle.as_ptr(),
                field.as_ptr(),
                values.as_ptr(),
                values.len() as Count,
            )
        };
        self.api.check(function, status)
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // SAFETY: the handle is live and this is its only owner. The status can tell nothing that
        // could be acted on.
        unsafe { (self.api.functions.matrix_free)(self.handle.as_ptr()) };
    }
}

/// A model, in training or trained.
pub(super) struct Booster {
    api: &'static Api,
    handle: NonNull<c_void>,
}

// SAFETY: a booster has no tie to the thread that made it: results and messages are kept by thread,
// and random numbers are drawn in training only, which runs on one thread from seed to end.
unsafe impl Send for Booster {}
// SAFETY: the methods that take `&self` predict, which XGBoost allows on several threads at once, or
// save, which changes nothing in a booster that was set up by a first prediction, and every shared
// one was; all others take `&mut self`.
unsafe impl Sync for Booster {}

impl Booster {
    /// Makes an untrained model that keeps its predictions for the given matrices up to date.
    pub(super) fn new(api: &'static Api, matrices: &[&Matrix]) -> Result<Self> {
        let function = "XGBoosterCreate";
        let handles: Vec<Handle> = matrices.iter().map(|matrix| matrix.handle.as_ptr()).collect();
        let mut handle = ptr::null_mut();
        // SAFETY: as many live handles as the length says (none may be read where it is 0), and a
        // pointer to write the handle to.
        let status = unsafe {
            (api.functions.booster_create)(
                handles.as_ptr(),
                handles.len() as Count,
                &raw mut handle,
            )
        };
        api.check(function, status)?;
        Ok(Self { api, handle: not_null(function, handle)? })
    }

    /// Loads a model in JSON or UBJSON whose structure has been checked.
    pub(super) fn load(&mut self, model: &[u8]) -> Result<()> {
        let bytes = model.as_ptr().cast();
        // SAFETY: a live handle, borrowed by nobody else, and as many bytes as the length says.
        let status =
            unsafe { (self.api.functions.load)(self.handle.as_ptr(), bytes, model.len() as Count) };
        self.api.check("XGBoosterLoadModelFromBuffer", status)
    }

    /// Sets a parameter.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let function = "XGBoosterSetParam";
        let (name, value) = (c_string(function, name)?, c_string(function, value)?);
        // SAFETY: a live handle, borrowed by nobody else, and two strings that end in NUL.
        let status = unsafe {
            (self.api.functions.set_param)(self.handle.as_ptr(), name.as_ptr(), value.as_ptr())
        };
        self.api.check(function, status)
    }

    /// Names the features.
    pub(super) fn set_feature_names(&mut self, names: &[String]) -> Result<()> {
        let function = "XGBoosterSetStrFeatureInfo";
        let names: Result<Vec<CString>> =
            names.iter().map(|name| c_string(function, name)).collect();
        let names = names?;
        let pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: a live handle, borrowed by nobody else, a string that ends in NUL, and as many
        // such strings as the length says; all are copied.
        let status = unsafe {
            (self.api.functions.set_names)(
                self.handle.as_ptr(),
                c"feature_name".as_ptr(),
                pointers.as_ptr(),
                pointers.len() as Count,
            )
        };
        self.api.check(function, status)
    }

    /// Grows round `round` by the objective.
    pub(super) fn update(&mut self, round: usize, matrix: &Matrix) -> Result<()> {
        let round = round_number(round)?;
        // SAFETY: two live handles, the booster's borrowed by nobody else.
        let status = unsafe {
            (self.api.functions.update)(self.handle.as_ptr(), round, matrix.handle.as_ptr())
        };
        self.api.check("XGBoosterUpdateOneIter", status)
    }

    /// Grows round `round` by given derivatives, one of each a row of the matrix.
    pub(super) fn boost(
        &mut self,
        round: usize,
        matrix: &Matrix,
        gradients: &mut [f32],
        hessians: &mut [f32],
    ) -> Result<()> {
        let function = "XGBoosterTrainOneIter";
        let round = round_number(round)?;
        let rows = matrix.rows;
        check_area(function, gradients, rows, 1)?;
        check_area(function, hessians, rows, 1)?;
        let (booster, matrix) = (self.handle.as_ptr(), matrix.handle.as_ptr());
        let status = match self.api.functions.boost {
            Boost::Arrays(boost) => {
                let gradients = array_interface(gradients, rows, 1);
                let hessians = array_interface(hessians, rows, 1);
                // SAFETY: two live handles, the booster's borrowed by nobody else, and two strings
                // that end in NUL and describe one number a row, which live through the call.
                unsafe { boost(booster, matrix, round, gradients.as_ptr(), hessians.as_ptr()) }
            }
            Boost::Pointers(boost) => {
                let (gradients, hessians) = (gradients.as_mut_ptr(), hessians.as_mut_ptr());
                // SAFETY: two live handles, the booster's borrowed by nobody else, and one number
                // a row (checked above) behind each pointer.
                unsafe { boost(booster, matrix, gradients, hessians, rows as Count) }
            }
        };
        self.api.check(function, status)
    }

    /// Writes the predictions for a matrix, `(n_rows,)`.
    pub(super) fn predict_matrix(&mut self, matrix: &Matrix, out: &mut Vec<f32>) -> Result<()> {
        let function = "XGBoosterPredictFromDMatrix";
        let (mut shape, mut dimensions) = (ptr::null(), 0);
        let mut values = ptr::null();
        // SAFETY: two live handles, a string that ends in NUL, and three pointers to write to.
        let status = unsafe {
            (self.api.functions.predict_matrix)(
                self.handle.as_ptr(),
                matrix.handle.as_ptr(),
                ALL_ROUNDS.as_ptr(),
                &raw mut shape,
                &raw mut dimensions,
                &raw mut values,
            )
        };
        self.api.check(function, status)?;
        // SAFETY: written by the call that succeeded, and no other call has come since.
        let told = unsafe { result(function, shape, dimensions, values, matrix.rows) }?;
        out.clear();
        out.extend_from_slice(told);
        Ok(())
    }

    /// Predicts row-major records, NaN being "missing": hands on `(n_rows,)`, which `take` copies
    /// and does not call the library with.
    pub(super) fn predict<T>(
        &self,
        records: &[f32],
        rows: usize,
        width: usize,
        take: impl FnOnce(&[f32]) -> T,
    ) -> Result<T> {
        let function = "XGBoosterPredictFromDense";
        check_area(function, records, rows, width)?;
        let array = array_interface(records, rows, width);
        let (mut shape, mut dimensions) = (ptr::null(), 0);
        let mut values = ptr::null();
        // SAFETY: a live handle, two strings that end in NUL, the first describing `rows * width`
        // numbers that live through the call (checked above), a matrix that may be left out, and
        // three pointers to write to.
        let status = unsafe {
            (self.api.functions.predict_dense)(
                self.handle.as_ptr(),
                array.as_ptr(),
                ALL_ROUNDS.as_ptr(),
                ptr::null_mut(),
                &raw mut shape,
                &raw mut dimensions,
                &raw mut values,
            )
        };
        self.api.check(function, status)?;
        // SAFETY: written by the call that succeeded, and no other call has come since.
        Ok(take(unsafe { result(function, shape, dimensions, values, rows) }?))
    }

    /// Rounds that the model has.
    pub(super) fn boosted_rounds(&mut self) -> Result<usize> {
        let function = "XGBoosterBoostedRounds";
        let mut rounds = 0;
        // SAFETY: a live handle, borrowed by nobody else since it may set the model up, and a
        // pointer to write to.
        let status =
            unsafe { (self.api.functions.boosted_rounds)(self.handle.as_ptr(), &raw mut rounds) };
        self.api.check(function, status)?;
        usize::try_from(rounds).map_err(|_| unexpected(function))
    }

    /// A copy of the first `rounds` rounds, at least one.
    pub(super) fn first_rounds(&mut self, rounds: usize) -> Result<Self> {
        let function = "XGBoosterSlice";
        let rounds = round_number(rounds.max(1))?;
        let mut handle = ptr::null_mut();
        // SAFETY: a live handle, borrowed by nobody else, a range that XGBoost checks, and a
        // pointer to write the new handle to.
        let status = unsafe {
            (self.api.functions.slice)(self.handle.as_ptr(), 0, rounds, 1, &raw mut handle)
        };
        self.api.check(function, status)?;
        Ok(Self { api: self.api, handle: not_null(function, handle)? })
    }

    /// The model as UBJSON, or as JSON.
    pub(super) fn save(&self, json: bool) -> Result<Vec<u8>> {
        let function = "XGBoosterSaveModelToBuffer";
        let format = if json { c"{\"format\":\"json\"}" } else { c"{\"format\":\"ubj\"}" };
        let (mut length, mut bytes) = (0, ptr::null());
        // SAFETY: a live handle, a string that ends in NUL, and two pointers to write to.
        let status = unsafe {
            (self.api.functions.save)(
                self.handle.as_ptr(),
                format.as_ptr(),
                &raw mut length,
                &raw mut bytes,
            )
        };
        self.api.check(function, status)?;
        let length = usize::try_from(length).unwrap_or(0);
        if bytes.is_null() || length == 0 {
            return Err(unexpected(function));
        }
        // SAFETY: not null, as many bytes as the length says, and no other call has come since.
        Ok(unsafe { slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Booster {
    fn drop(&mut self) {
        // SAFETY: the handle is live and this is its only owner. The status can tell nothing that
        // could be acted on.
        unsafe { (self.api.functions.booster_free)(self.handle.as_ptr()) };
    }
}

impl fmt::Debug for Booster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Booster")
    }
}

/// Asks for values by all rounds.
const ALL_ROUNDS: &CStr = c"{\"type\":0,\"training\":false,\"iteration_begin\":0,\
    \"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,\"missing\":NaN}";

/// The numbers that a prediction handed out, one a row.
///
/// # Safety
/// The call has succeeded, so `shape` holds `dimensions` lengths, and `values` as many numbers as
/// their product. Both live until this thread calls again.
unsafe fn result<'a>(
    function: &'static str,
    shape: *const Count,
    dimensions: Count,
    values: *const f32,
    rows: usize,
) -> Result<&'a [f32]> {
    let dimensions = usize::try_from(dimensions).unwrap_or(0);
    if shape.is_null() || values.is_null() || dimensions == 0 {
        return Err(unexpected(function));
    }
    // SAFETY: the caller's promise.
    let shape = unsafe { slice::from_raw_parts(shape, dimensions) };
    let total = shape.iter().try_fold(1, |product: Count, &n| product.checked_mul(n));
    if total != Some(rows as Count) {
        return Err(unexpected(function));
    }
    // SAFETY: the caller's promise; the product of the lengths is `rows`.
    Ok(unsafe { slice::from_raw_parts(values, rows) })
}

fn check_area(function: &'static str, values: &[f32], rows: usize, width: usize) -> Result<()> {
    if values.is_empty() || rows.checked_mul(width) != Some(values.len()) {
        let message = format!("{} numbers are no table of {rows} by {width}", values.len());
        return Err(XgboostError::Call { function, message });
    }
    Ok(())
}

fn round_number(round: usize) -> Result<c_int> {
    c_int::try_from(round).map_err(|_| XgboostError::Call {
        function: "XGBoosterUpdateOneIter",
        message: format!("round {round} is out of range"),
    })
}

fn not_null(function: &'static str, handle: Handle) -> Result<NonNull<c_void>> {
    NonNull::new(handle).ok_or_else(|| unexpected(function))
}

fn unexpected(function: &'static str) -> XgboostError {
    XgboostError::Call { function, message: "an answer of unexpected form".to_owned() }
}
