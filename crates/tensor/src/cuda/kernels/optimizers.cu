// Optimizer steps of many parameters in one launch, and the sums that a step needs.

// A piece of a parameter with its moments: `count` elements. `g` is null where there is no gradient: zeros.
struct Piece {
    float* w;
    const float* g;
    float* m;
    float* v;
    u64 count;
};

// torch.optim.AdamW's arithmetic; a block a piece. See ops::AdamW.
KERNEL adamw(
    const Piece* pieces, float lr, float beta1, float beta2, float eps, float weight_decay, float l2, float bias1,
    float bias2, float grad_scale
) {
    Piece p = pieces[blockIdx.x];
    float keep = 1.0f - lr * weight_decay, size = lr / bias1, root = sqrtf(bias2);
    for (u64 i = threadIdx.x; i < p.count; i += blockDim.x) {
        float w = p.w[i], g = (p.g ? p.g[i] : 0.0f) * grad_scale + w * l2;
        float m = p.m[i] + (g - p.m[i]) * (1.0f - beta1);
        float v = p.v[i] * beta2 + g * g * (1.0f - beta2);
        p.m[i] = m;
        p.v[i] = v;
        p.w[i] = w * keep - size * (m / (sqrtf(v) / root + eps));
    }
}

// Chen et al. 2023, algorithm 2; `v` is not used.
KERNEL lion(const Piece* pieces, float lr, float beta1, float beta2, float weight_decay, float grad_scale) {
    Piece p = pieces[blockIdx.x];
    float keep = 1.0f - lr * weight_decay;
    for (u64 i = threadIdx.x; i < p.count; i += blockDim.x) {
        float g = (p.g ? p.g[i] : 0.0f) * grad_scale, m = p.m[i];
        float direction = m * beta1 + g * (1.0f - beta1);
        float step = direction > 0.0f ? lr : (direction < 0.0f ? -lr : 0.0f);
        p.w[i] = p.w[i] * keep - step;
        p.m[i] = m * beta2 + g * (1.0f - beta2);
    }
}

// Sums of squares in f64 of equal slices of x, one a block: partial: [gridDim.x].
KERNEL sum_squares(double* partial, const float* x, u64 count) {
    __shared__ double scratch[WARP];
    u64 slice = (count + gridDim.x - 1) / gridDim.x, first = blockIdx.x * slice;
    u64 last = first + slice < count ? first + slice : count;
    double sum = 0.0;
    for (u64 i = first + threadIdx.x; i < last; i += blockDim.x) sum += (double)x[i] * x[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// The sum of `count` numbers: one block.
KERNEL sum_doubles(double* total, const double* x, u64 count) {
    __shared__ double scratch[WARP];
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < count; i += blockDim.x) sum += x[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) *total = sum;
}

// The place of the first element that is infinite or not a number, or what `place` held.
KERNEL first_non_finite(u64* place, const float* x, u64 count) {
    u64 first = ~0ull;
    for (u64 i = here(); i < count; i += everyone()) {
        if (!(fabsf(x[i]) < infinity())) {
            first = i;
            break;
        }
    }
    if (first != ~0ull) atomicMin(place, first);
}

// Adafactor (Shazeer and Stern 2018), step by step as ops::Adafactor has it. A matrix g: [rows, cols].

// row ← beta2·row + (1 − beta2)·mean over columns of ((scale·g)² + eps), and the row itself in f64 for its mean. A block a
// row.
KERNEL adafactor_rows(float* row, double* wide, const float* g, u32 cols, float scale, float eps, float beta2) {
    __shared__ double scratch[WARP];
    g += (u64)blockIdx.x * cols;
    double sum = 0.0;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
        float x = scale * g[c];
        sum += (double)(x * x + eps);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) {
        float now = row[blockIdx.x] * beta2 + (float)(sum / cols) * (1.0f - beta2);
        row[blockIdx.x] = now;
        wide[blockIdx.x] = now;
    }
}

// Sums over a slice of the rows of (scale·g)² + eps: partial: [slices, cols]. Grid: [columns, slices].
KERNEL adafactor_columns(double* partial, const float* g, u32 rows, u32 cols, float scale, float eps) {
    u64 c = here();
    if (c >= cols) return;
    u32 slice = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * slice;
    u32 last = first + slice < rows ? first + slice : rows;
    double sum = 0.0;
    for (u32 r = first; r < last; r++) {
        float x = scale * g[(u64)r * cols + c];
        sum += (double)(x * x + eps);
    }
    partial[(u64)blockIdx.y * cols + c] = sum;
}

// column ← beta2·column + (1 − beta2)·(their sum / rows).
KERNEL adafactor_mean_columns(float* column, const double* partial, u32 slices, u32 rows, u32 cols, float beta2) {
    u64 c = here();
    if (c >= cols) return;
    double sum = 0.0;
    for (u32 s = 0; s < slices; s++) sum += partial[(u64)s * cols + c];
    column[c] = column[c] * beta2 + (float)(sum / rows) * (1.0f - beta2);
}

// What element (r, c) of the gradient is multiplied by.
__device__ float adafactor_factor(double row_sum, u32 rows, float row, float column, float scale) {
    return (float)sqrt(row_sum / rows / (double)row) * scale * (1.0f / sqrtf(column));
}

// The squares of a row's update, summed: squares: [rows]. row_sum: Σ of all rows' mean squares. A block a row.
KERNEL adafactor_squares(
    double* squares, const float* g, const float* row, const float* column, const double* row_sum, u32 rows, u32 cols,
    float scale
) {
    __shared__ double scratch[WARP];
    g += (u64)blockIdx.x * cols;
    double sum = 0.0;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
        double u = adafactor_factor(*row_sum, rows, row[blockIdx.x], column[c], scale) * g[c];
        sum += u * u;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// A vector's second moments, v ← beta2·v + (1 − beta2)·((scale·g)² + eps), and its update's squares, one a block of a
// slice: squares: [gridDim.x].
KERNEL adafactor_vector(double* squares, float* v, const float* g, u64 count, float scale, float eps, float beta2) {
    __shared__ double scratch[WARP];
    u64 slice = (count + gridDim.x - 1) / gridDim.x, first = blockIdx.x * slice;
    u64 last = first + slice < count ? first + slice : count;
    double sum = 0.0;
    for (u64 i = first + threadIdx.x; i < last; i += blockDim.x) {
        float x = scale * g[i];
        v[i] = v[i] * beta2 + (x * x + eps) * (1.0f - beta2);
        sum += (double)x * x / v[i];
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// w ← keep·w − size·update. With `row`, of a matrix [rows, cols] (see adafactor_squares), else of a vector, whose moments
// are `column`. update_squares, weight_squares (null: parameters are not scaled): sums over all elements, in device memory
// so that nobody waits for them.
KERNEL adafactor_apply(
    float* w, const float* g, const float* row, const float* column, const double* row_sum, u32 rows, u32 cols,
    float scale, float lr, float weight_decay, float clip_threshold, float eps2, const double* update_squares,
    const double* weight_squares
) {
    u64 count = (u64)rows * cols;
    double rate = lr, rms = sqrt(*update_squares / (double)count);
    if (weight_squares) {
        double size = sqrt(*weight_squares / (double)count);
        rate *= size > (double)eps2 ? size : (double)eps2;
    }
    double clip = rms / (double)clip_threshold;
    float size = (float)(rate / (clip > 1.0 ? clip : 1.0)), keep = (float)(1.0 - rate * (double)weight_decay);
    for (u64 i = here(); i < count; i += everyone()) {
        float factor = row ? adafactor_factor(*row_sum, rows, row[i / cols], column[i % cols], scale)
                           : scale * (1.0f / sqrtf(column[i]));
        w[i] = w[i] * keep - size * (factor * g[i]);
    }
}
