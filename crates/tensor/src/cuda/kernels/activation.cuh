// Activations, and what becomes of a product's elements when they have been summed.

#define GELU_TANH 0u
#define GELU_ERF 1u
#define RELU 2u
#define SILU 3u
#define NO_ACTIVATION 4u

#define TANH_SCALE 0.7978845608f
#define TANH_CUBIC 0.044715f

// act(x), and its slope where asked for.
__device__ float activation(u32 act, float x, float* slope) {
    if (act == RELU) {
        if (slope) *slope = x > 0.0f ? 1.0f : 0.0f;
        return x > 0.0f || x != x ? x : 0.0f;
    }
    if (act == GELU_ERF) {
        // From the small side, so that nothing cancels.
        float tail = 0.5f * erfcf(fabsf(x) * 0.70710678118f);
        float cdf = x < 0.0f ? tail : 1.0f - tail;
        if (slope) *slope = cdf + x * 0.3989422804f * expf(-0.5f * x * x);
        return x * cdf;
    }
    // (1 + tanh u) / 2 is the logistic function of 2u.
    float z = x;
    if (act == GELU_TANH) z = 2.0f * TANH_SCALE * (x + TANH_CUBIC * x * x * x);
    // Below −80 the exponential would not stay finite; the function has long vanished there.
    float e = expf(-fmaxf(z, -80.0f)), sigma = 1.0f / (1.0f + e);
    if (z != z) sigma = z;
    if (slope) {
        float bell = e * sigma * sigma, inner = 1.0f;
        // Beyond ±16 the second term has long vanished.
        if (act == GELU_TANH) inner = 2.0f * TANH_SCALE * (1.0f + 3.0f * TANH_CUBIC * fminf(x * x, 256.0f));
        *slope = sigma + (bell == 0.0f ? 0.0f : x * bell * inner);
    }
    return x * sigma;
}

// act(x + the bias of a column); bias: null where there is none.
__device__ float finished(float x, const float* bias, u32 column, u32 act) {
    if (bias) x += bias[column];
    return act == NO_ACTIVATION ? x : activation(act, x, (float*)0);
}
