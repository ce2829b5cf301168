// Losses of rows of logits, which become their derivatives; a block a row.

// log Σ exp of a row, given to all threads; −∞ for a row of nothing but −∞.
__device__ float log_sum_exp(const float* x, u32 cols, float* scratch) {
    float largest = -infinity();
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) largest = fmaxf(largest, x[c]);
    largest = block_max(largest, scratch);
    if (largest == -infinity()) largest = 0.0f;
    float sum = 0.0f;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) sum += expf(x[c] - largest);
    return largest + logf(block_sum(sum, scratch));
}

// With l the logits, lse = log Σ exp l and smoothing s: a loss is lse − (1 − s)·l[target] − s·mean(l) + z·lse². With
// `backward` l becomes scale·((1 + 2·z·lse)·softmax − (1 − s)·one-hot − s/cols). logits: [gridDim.x, cols].
KERNEL cross_entropy(
    float* logits, float* losses, const u32* targets, u32 cols, float scale, float smoothing, float z_loss, u32 backward
) {
    __shared__ float scratch[WARP];
    __shared__ double wide[WARP];
    u64 row = blockIdx.x;
    logits += row * cols;
    u32 target = targets[row];
    float lse = log_sum_exp(logits, cols, scratch), hit = logits[target];
    float loss = lse - hit + z_loss * lse * lse;
    if (smoothing > 0.0f) {
        double sum = 0.0;
        for (u32 c = threadIdx.x; c < cols; c += blockDim.x) sum += logits[c];
        loss += smoothing * (hit - (float)(block_sum(sum, wide) / (double)cols));
    }
    if (threadIdx.x == 0) losses[row] = loss;
    if (!backward) return;
    // Everyone has read the target's logit.
    __syncthreads();
    float probability = scale * (1.0f + 2.0f * z_loss * lse), minus = scale * smoothing / (float)cols;
    for (u32 c = threadIdx.x; c < cols; c += blockDim.x) {
        float d = expf(logits[c] - lse) * probability - minus;
        logits[c] = c == target ? d - scale * (1.0f - smoothing) : d;
    }
}
