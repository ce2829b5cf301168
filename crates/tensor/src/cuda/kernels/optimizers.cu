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

// Some numbers that lie beside one another.
struct Run {
    const float* x;
    u64 count;
};

// The sum of squares in f64 of each run, which is a block's: partial: [runs].
KERNEL sum_squares(double* partial, const Run* runs) {
    __shared__ double scratch[WARP];
    Run run = runs[blockIdx.x];
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < run.count; i += blockDim.x) sum += (double)run.x[i] * run.x[i];
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

// totals[b]: the sum of x[firsts[b]..firsts[b + 1]]. A block a total.
KERNEL sum_ranges(double* totals, const double* x, const u64* firsts) {
    __shared__ double scratch[WARP];
    double sum = 0.0;
    for (u64 i = firsts[blockIdx.x] + threadIdx.x; i < firsts[blockIdx.x + 1]; i += blockDim.x) sum += x[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) totals[blockIdx.x] = sum;
}

// Adafactor (Shazeer and Stern 2018), step by step as ops::Adafactor has it, each step a launch for all parameters.

// A matrix [rows, cols] with the mean squares of its rows and of its columns, or where `row` is null a vector of `cols`
// elements (rows: 1) with its second moments in `col`. g: as w, or where there are `slots` the rows that have a gradient:
// that of row r is row slots[r] of g.
struct Factored {
    float* w;
    const float* g;
    const u32* slots;
    float* row;
    float* col;
    u64 rows, cols;
    // Its first block in launches with a block a row, with one for each `blockDim.x` columns, and with one a piece.
    u64 first_row, first_columns, first_piece;
    // Its place among the sums of columns: [slices, cols].
    u64 partial, slices;
};

#define NO_SLOT 0xffffffffu

// The parameter that a block works on, the last whose first is not behind it.
template <u64 Factored::*FIRST> __device__ u32 whose(const Factored* all, u32 count, u32 block) {
    u32 low = 0, high = count;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (all[middle].*FIRST <= block) low = middle;
        else high = middle;
    }
    return low;
}

// A row's gradient, null where it has none: zeros.
__device__ const float* gradient_of(const Factored& p, u64 row) {
    if (!p.slots) return p.g + row * p.cols;
    u32 slot = p.slots[row];
    return slot == NO_SLOT ? (const float*)0 : p.g + (u64)slot * p.cols;
}

// row ← beta2·row + (1 − beta2)·mean over columns of ((scale·g)² + eps), and the row itself in f64 for its mean. A block a
// row.
KERNEL adafactor_rows(const Factored* all, u32 count, double* wide, float scale, float eps, float beta2) {
    __shared__ double scratch[WARP];
    const Factored p = all[whose<&Factored::first_row>(all, count, blockIdx.x)];
    u64 r = blockIdx.x - p.first_row;
    const float* g = gradient_of(p, r);
    double sum = 0.0;
    for (u64 c = threadIdx.x; c < p.cols; c += blockDim.x) {
        float x = g ? scale * g[c] : 0.0f;
        sum += (double)(x * x + eps);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) {
        float now = p.row[r] * beta2 + (float)(sum / p.cols) * (1.0f - beta2);
        p.row[r] = now;
        wide[blockIdx.x] = now;
    }
}

// Sums over a slice of the rows of (scale·g)² + eps. Grid: [columns, the most slices].
KERNEL adafactor_columns(const Factored* all, u32 count, double* partial, float scale, float eps) {
    const Factored p = all[whose<&Factored::first_columns>(all, count, blockIdx.x)];
    u64 c = (blockIdx.x - p.first_columns) * blockDim.x + threadIdx.x;
    if (c >= p.cols || blockIdx.y >= p.slices) return;
    u64 slice = (p.rows + p.slices - 1) / p.slices, first = blockIdx.y * slice;
    u64 last = first + slice < p.rows ? first + slice : p.rows;
    double sum = 0.0;
    for (u64 r = first; r < last; r++) {
        const float* g = gradient_of(p, r);
        float x = g ? scale * g[c] : 0.0f;
        sum += (double)(x * x + eps);
    }
    partial[p.partial + blockIdx.y * p.cols + c] = sum;
}

// column ← beta2·column + (1 − beta2)·(their sum / rows). Grid: [columns].
KERNEL adafactor_mean_columns(const Factored* all, u32 count, const double* partial, float beta2) {
    const Factored p = all[whose<&Factored::first_columns>(all, count, blockIdx.x)];
    u64 c = (blockIdx.x - p.first_columns) * blockDim.x + threadIdx.x;
    if (c >= p.cols) return;
    double sum = 0.0;
    for (u64 s = 0; s < p.slices; s++) sum += partial[p.partial + s * p.cols + c];
    p.col[c] = p.col[c] * beta2 + (float)(sum / p.rows) * (1.0f - beta2);
}

// What element (r, c) of the gradient is multiplied by. row_sum: Σ of all rows' mean squares.
__device__ float adafactor_factor(const Factored& p, double row_sum, u64 r, u64 c, float scale) {
    return (float)sqrt(row_sum / p.rows / (double)p.row[r]) * scale * (1.0f / sqrtf(p.col[c]));
}

// The squares of a row's update, summed: squares: [rows of all]. A block a row.
KERNEL adafactor_squares(const Factored* all, u32 count, double* squares, const double* row_sums, float scale) {
    __shared__ double scratch[WARP];
    u32 which = whose<&Factored::first_row>(all, count, blockIdx.x);
    const Factored p = all[which];
    u64 r = blockIdx.x - p.first_row;
    const float* g = gradient_of(p, r);
    double sum = 0.0;
    for (u64 c = threadIdx.x; g && c < p.cols; c += blockDim.x) {
        double u = adafactor_factor(p, row_sums[which], r, c, scale) * g[c];
        sum += u * u;
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// A vector's second moments, v ← beta2·v + (1 − beta2)·((scale·g)² + eps), and the squares of its update, summed. A block a
// parameter, where that is a vector.
KERNEL adafactor_vectors(const Factored* all, double* updates, float scale, float eps, float beta2) {
    __shared__ double scratch[WARP];
    const Factored p = all[blockIdx.x];
    if (p.row) return;
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < p.cols; i += blockDim.x) {
        float x = scale * p.g[i];
        p.col[i] = p.col[i] * beta2 + (x * x + eps) * (1.0f - beta2);
        sum += (double)x * x / p.col[i];
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) updates[blockIdx.x] = sum;
}

// w ← keep·w − size·update. updates, sizes (null: parameters are not scaled): sums of squares over all elements of each
// parameter, in device memory so that nobody waits for them. A block a piece of `piece` elements.
KERNEL adafactor_apply(
    const Factored* all, u32 count, u32 piece, const double* row_sums, const double* updates, const double* sizes,
    float scale, float lr, float weight_decay, float clip_threshold, float eps2
) {
    u32 which = whose<&Factored::first_piece>(all, count, blockIdx.x);
    const Factored p = all[which];
    u64 elements = p.rows * p.cols;
    double rate = lr, rms = sqrt(updates[which] / (double)elements);
    if (sizes) {
        double size = sqrt(sizes[which] / (double)elements);
        rate *= size > (double)eps2 ? size : (double)eps2;
    }
    double clip = rms / (double)clip_threshold;
    float size = (float)(rate / (clip > 1.0 ? clip : 1.0)), keep = (float)(1.0 - rate * (double)weight_decay);
    u64 first = (blockIdx.x - p.first_piece) * piece, last = first + piece < elements ? first + piece : elements;
    for (u64 i = first + threadIdx.x; i < last; i += blockDim.x) {
        u64 r = i / p.cols, c = i % p.cols;
        const float* g = gradient_of(p, r);
        float update = 0.0f;
        if (g) {
            float factor = p.row ? adafactor_factor(p, row_sums[which], r, c, scale) : scale * (1.0f / sqrtf(p.col[c]));
            update = factor * g[c];
        }
        p.w[i] = p.w[i] * keep - size * update;
    }
}
