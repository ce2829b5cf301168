//! Products by cuBLASLt, the algorithm chosen once for every shape.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Mutex;

use cudarc::cublaslt::{result, sys};
use cudarc::driver;

use crate::DType;
use crate::cuda::driver::{DeviceError, Epilogue, Matrix, Product};
use crate::ops::Activation;

/// Bytes that algorithms may work in.
const WORKSPACE: usize = 32 << 20;
/// The logarithm of the bytes that a matrix may be aligned to for all that any algorithm gains by it.
const ALIGNED: u32 = 8;

pub(super) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    /// None where it has no algorithm for a product.
    plans: Mutex<HashMap<Key, Option<Plan>>>,
}

/// What decides an algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    dtype: DType,
    tf32: bool,
    epilogue: sys::cublasLtEpilogue_t,
    /// Bytes that the matrices and the bias are aligned to.
    aligned: [u32; 4],
    sizes: [usize; 4],
    transposed: [bool; 2],
    strides: [usize; 6],
}

/// cuBLASLt's descriptions of a product, which live as long as the process.
#[derive(Clone, Copy)]
struct Plan {
    description: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: handles and descriptions may be used by any thread; they are not changed once made, and calls are made one at a
// time (`plans` is held).
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}
// SAFETY: as above.
unsafe impl Send for Plan {}

fn failed(error: result::CublasError) -> DeviceError {
    DeviceError::Call { what: "a product".to_owned(), why: format!("{:?}", error.0) }
}

impl Products {
    /// None where cuBLASLt is not installed. The context is the thread's.
    pub(super) fn open(stream: driver::sys::CUstream) -> Result<Option<Self>, DeviceError> {
        // SAFETY: only looks for the library.
        if !unsafe { sys::is_culib_present() } {
            return Ok(None);
        }
        let handle = result::create_handle().map_err(failed)?;
        // SAFETY: the memory is used in this stream alone and never given back.
        let workspace = unsafe { driver::result::malloc_async(stream, WORKSPACE) };
        let workspace = workspace.map_err(|error| DeviceError::Call {
            what: "taking memory for products".to_owned(),
            why: format!("{:?}", error.0),
        })?;
        Ok(Some(Products { handle, workspace, plans: Mutex::default() }))
    }

    /// cuBLASLt counts columns first: row-major c = a·b is its cᵀ = bᵀ·aᵀ with every matrix as it lies, and a bias by c's
    /// columns, by the rows of cᵀ, is what its epilogue adds. Whether it has an algorithm for that.
    pub(super) fn multiply(
        &self,
        product: &Product,
        stream: driver::sys::CUstream,
    ) -> Result<bool, DeviceError> {
        let Product { c, a, b, batches, accumulate, tf32, epilogue } = product;
        let Some(known) = epilogue_of(epilogue) else { return Ok(false) };
        let by_columns = |m: &Matrix| m.col_stride != 1;
        let key = Key {
            dtype: a.dtype,
            tf32: *tf32 && a.dtype == DType::F32,
            epilogue: known,
            aligned: [b.at, a.at, c.at, epilogue.bias].map(|at| 1 << at.trailing_zeros().min(ALIGNED)),
            sizes: [c.rows, c.cols, a.cols, *batches],
            transposed: [by_columns(b), by_columns(a)],
            strides: [
                c.row_stride,
                c.batch_stride,
                a.row_stride.max(a.col_stride),
                a.batch_stride,
                b.row_stride.max(b.col_stride),
                b.batch_stride,
            ],
        };
        let mut plans = self.plans.lock().unwrap_or_else(|e| e.into_inner());
        let plan = match plans.get(&key) {
            Some(Some(plan)) => *plan,
            Some(None) => return Ok(false),
            // SAFETY: the matrices are what the product says.
            None => match unsafe { self.plan(product, key) } {
                Err(result::CublasError(why)) if lacks(why, &key) => {
                    plans.insert(key, None);
                    return Ok(false);
                }
                plan => {
                    let plan = plan.map_err(failed)?;
                    plans.insert(key, Some(plan));
                    plan
                }
            },
        };
        let (alpha, beta) = (1.0f32, if *accumulate { 1.0f32 } else { 0.0 });
        let [b_layout, a_layout, c_layout] = plan.layouts;
        if epilogue.bias != 0 {
            let bias = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
            // SAFETY: nobody else uses the description (`plans` is held); a pointer is a u64.
            unsafe { describe(plan.description, bias, &epilogue.bias) }.map_err(failed)?;
        }
        // SAFETY: the layouts describe memory that the caller holds; everything is in one stream, or on its
        // way into a graph that will be.
        unsafe {
            result::matmul(
                self.handle,
                plan.description,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                b.at as *const c_void,
                b_layout,
                a.at as *const c_void,
                a_layout,
                c.at as *const c_void,
                c_layout,
                c.at as *mut c_void,
                c_layout,
                &raw const plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
        .map_err(failed)?;
        Ok(true)
    }

    unsafe fn plan(&self, product: &Product, key: Key) -> Result<Plan, result::CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let Product { c, a, b, batches, epilogue, .. } = product;
        let compute = match key.tf32 {
            true => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            false => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let description = result::create_matmul_desc(compute, sys::cudaDataType_t::CUDA_R_32F)?;
        let ways = [Attribute::CUBLASLT_MATMUL_DESC_TRANSA, Attribute::CUBLASLT_MATMUL_DESC_TRANSB];
        for (way, turned) in ways.into_iter().zip(key.transposed) {
            // CUBLAS_OP_N and CUBLAS_OP_T
            let operation: i32 = if turned { 1 } else { 0 };
            // SAFETY: the description has just been made; an operation is an i32.
            unsafe { describe(description, way, &operation)? };
        }
        // A bias is of c's type, f32.
        // SAFETY: the description has just been made; an epilogue is an enumeration of C's, a pointer a u64.
        unsafe {
            describe(description, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &key.epilogue)?;
            if epilogue.bias != 0 {
                describe(description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &epilogue.bias)?;
            }
        }
        let layout = |m: &Matrix| -> Result<sys::cublasLtMatrixLayout_t, result::CublasError> {
            use sys::cublasLtMatrixLayoutAttribute_t as Layout;
            let (rows, cols, stride) = match m.col_stride {
                1 => (m.cols, m.rows, m.row_stride),
                stride => (m.rows, m.cols, stride),
            };
            let made =
                result::create_matrix_layout(type_of(m.dtype), rows as u64, cols as u64, stride as i64)?;
            let (count, stride) = (*batches as i32, m.batch_stride as i64);
            // SAFETY: the layout has just been made; the attributes are of these types.
            unsafe {
                let attribute = Layout::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
                result::set_matrix_layout_attribute(
                    made,
                    attribute,
                    (&raw const count).cast(),
                    size_of::<i32>(),
                )?;
                let attribute = Layout::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
                result::set_matrix_layout_attribute(
                    made,
                    attribute,
                    (&raw const stride).cast(),
                    size_of::<i64>(),
                )?;
            }
            Ok(made)
        };
        let layouts = [layout(b)?, layout(a)?, layout(c)?];
        let preference = result::create_matmul_pref()?;
        // SAFETY: everything has just been made.
        let found = unsafe {
            let most = Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            let bytes = WORKSPACE;
            result::set_matmul_pref_attribute(
                preference,
                most,
                (&raw const bytes).cast(),
                size_of::<usize>(),
            )?;
            // Without these it takes all matrices to be aligned to 256 bytes, which columns of a tensor need not be.
            let [of_b, of_a, of_c, _] = key.aligned;
            for (attribute, bytes) in [
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_b),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_a),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of_c),
                (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_c),
            ] {
                let at = (&raw const bytes).cast();
                result::set_matmul_pref_attribute(preference, attribute, at, size_of::<u32>())?;
            }
            let [b, a, c] = layouts;
            let found = result::get_matmul_algo_heuristic(self.handle, description, b, a, c, c, preference);
            result::destroy_matmul_pref(preference)?;
            found?
        };
        Ok(Plan { description, layouts, algorithm: found.algo })
    }
}

/// What cuBLASLt calls an epilogue; none where it has none that is the processor's. Its GELU is by tanh, how exact is not
/// said.
fn epilogue_of(epilogue: &Epilogue) -> Option<sys::cublasLtEpilogue_t> {
    use sys::cublasLtEpilogue_t as Known;
    Some(match (epilogue.bias != 0, epilogue.activation) {
        (false, None) => Known::CUBLASLT_EPILOGUE_DEFAULT,
        (true, None) => Known::CUBLASLT_EPILOGUE_BIAS,
        (false, Some(Activation::Relu)) => Known::CUBLASLT_EPILOGUE_RELU,
        (true, Some(Activation::Relu)) => Known::CUBLASLT_EPILOGUE_RELU_BIAS,
        _ => return None,
    })
}

/// Whether an error says that there is no algorithm for a product; with an epilogue, that it does not take this one here.
fn lacks(why: sys::cublasStatus_t, key: &Key) -> bool {
    use sys::cublasStatus_t as Status;
    let plain = key.epilogue == sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT;
    why == Status::CUBLAS_STATUS_NOT_SUPPORTED || !plain && why == Status::CUBLAS_STATUS_INVALID_VALUE
}

/// Sets an attribute of a description.
///
/// # Safety
/// The description is one that nobody uses meanwhile, and the value of the attribute's type.
unsafe fn describe<T>(
    description: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<(), result::CublasError> {
    // SAFETY: the caller's.
    unsafe {
        result::set_matmul_desc_attribute(
            description,
            attribute,
            std::ptr::from_ref(value).cast(),
            size_of::<T>(),
        )
    }
}

fn type_of(dtype: DType) -> sys::cudaDataType_t {
    match dtype {
        DType::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        DType::F16 => sys::cudaDataType_t::CUDA_R_16F,
        _ => sys::cudaDataType_t::CUDA_R_32F,
    }
}
