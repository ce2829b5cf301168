// RMSNorm and LayerNorm, a block a row; the derivatives by their vectors as partial sums over slices of the rows.

// y = x · rstd · w with rstd = 1 / sqrt(mean(x²) + eps). x, y: [gridDim.x, cols], rstd: [gridDim.x].
KERNEL rms_norm(float* y, float* rstd, const float* x, const float* w, u32 cols, float eps) {
    __shared__ float scratch[WARP];
    u64 row = blockIdx.x;
    x += row * cols;
    y += row * cols;
    float sum = 0.0f;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) sum += x[c] * x[c];
    float r = 1.0f / sqrtf(block_sum(sum, scratch) / (float)cols + eps);
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) y[c] = x[c] * r * w[c];
    if (threadIdx.x == 0) rstd[row] = r;
}

// dx = (accumulate ? dx : 0) + r·w·dy − x·r³·mean(x·w·dy)
KERNEL rms_norm_backward(
    float* dx, u32 accumulate, const float* dy, const float* x, const float* w, const float* rstd, u32 cols
) {
    __shared__ float scratch[WARP];
    u64 row = blockIdx.x;
    x += row * cols;
    dy += row * cols;
    dx += row * cols;
    float sum = 0.0f, r = rstd[row];
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) sum += dy[c] * w[c] * x[c];
    float pull = r * r * r * (block_sum(sum, scratch) / (float)cols);
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
        float old = accumulate ? dx[c] : 0.0f;
        dx[c] = old + dy[c] * w[c] * r - x[c] * pull;
    }
}

// y = (x − mean)·rstd·w + b; the variance around the mean. mean, rstd: [gridDim.x].
KERNEL layer_norm(
    float* y, float* means, float* rstds, const float* x, const float* w, const float* b, u32 cols, float eps
) {
    __shared__ float scratch[WARP];
    u64 row = blockIdx.x;
    x += row * cols;
    y += row * cols;
    float sum = 0.0f, squares = 0.0f;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) sum += x[c];
    float mean = block_sum(sum, scratch) / (float)cols;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) squares += (x[c] - mean) * (x[c] - mean);
    float r = 1.0f / sqrtf(block_sum(squares, scratch) / (float)cols + eps);
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) y[c] = (x[c] - mean) * r * w[c] + b[c];
    if (threadIdx.x == 0) {
        means[row] = mean;
        rstds[row] = r;
    }
}

// With n = (x − mean)·rstd and g = w·dy: dx = rstd·(g − mean(g) − n·mean(g·n)).
KERNEL layer_norm_backward(
    float* dx, const float* dy, const float* x, const float* w, const float* means, const float* rstds, u32 cols
) {
    __shared__ float scratch[WARP];
    u64 row = blockIdx.x;
    x += row * cols;
    dy += row * cols;
    dx += row * cols;
    float mean = means[row], r = rstds[row], sum = 0.0f, dot = 0.0f;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
        float g = dy[c] * w[c];
        sum += g;
        dot += g * ((x[c] - mean) * r);
    }
    sum = block_sum(sum, scratch) / (float)cols;
    dot = block_sum(dot, scratch) / (float)cols;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) dx[c] = r * (dy[c] * w[c] - sum - (x[c] - mean) * r * dot);
}

// Threads of the sums below: a warp of columns, so many rows side by side.
#define SUM_ROWS 8

// Sums of the rows of a slice: partial[slice, column] = Σ dy·n, where n is 1 (no x), x·rstd (no means) or
// (x − mean)·rstd. Grid: [columns / 32, slices], block: 32 · 8. dy: [rows, stride], from its first column on.
KERNEL column_sums(
    float* partial, const float* dy, u32 stride, const float* x, const float* means, const float* rstds, u32 rows, u32 cols
) {
    __shared__ float sums[SUM_ROWS][WARP];
    u32 lane = threadIdx.x % WARP, line = threadIdx.x / WARP;
    u32 c = blockIdx.x * WARP + lane;
    u32 slice = (rows + gridDim.y - 1) / gridDim.y;
    u32 first = blockIdx.y * slice, last = first + slice < rows ? first + slice : rows;
    float sum = 0.0f;
    if (c < cols) {
        for (u32 row = first + line; row < last; row += SUM_ROWS) {
            float n = 1.0f;
            if (x) {
                float mean = means ? means[row] : 0.0f;
                n = (x[(u64)row * cols + c] - mean) * rstds[row];
            }
            sum += dy[(u64)row * stride + c] * n;
        }
    }
    sums[line][lane] = sum;
    __syncthreads();
    if (line == 0 && c < cols) {
        for (u32 l = 1; l < SUM_ROWS; l++) sum += sums[l][lane];
        partial[(u64)blockIdx.y * cols + c] = sum;
    }
}

// total += Σ of the partial sums, slice after slice. partial: [slices, cols].
KERNEL add_partial_sums(float* total, const float* partial, u32 slices, u32 cols) {
    u64 c = here();
    if (c >= cols) return;
    float sum = 0.0f;
    for (u32 s = 0; s < slices; s++) sum += partial[(u64)s * cols + c];
    total[c] += sum;
}
