// Attention of a decoding step against cached keys and values: a block a query and head.

// Keys looked at together.
#define CHUNK 256

// What a query sees: `first_keys` rows from `first` on, then `own_keys` of `own`, those that `list` names (null: the first).
struct Cached {
    const char* first;
    const char* own;
    const u32* list;
    u32 first_keys, own_keys, position, spare;
};

// A row of a cache, of `stride` bytes: num_heads · d numbers of the key, then as many of the value.
__device__ const char* cached_row(Cached s, u32 key, u64 stride) {
    if (key < s.first_keys) return s.first + key * stride;
    u32 i = key - s.first_keys;
    return s.own + (s.list ? s.list[i] : i) * stride;
}

// A number of a row, in f32 or bf16.
__device__ float kept(const char* row, u32 type, u64 at) {
    return type == STORED_BF16 ? bf16_to_f32(((const u16*)row)[at]) : ((const float*)row)[at];
}

// vectors: those by relative position beside keys and values, or null. `type`: what keys and values are kept in. out:
// [gridDim.x, heads · d]; q: rows q_stride apart. bias: [heads, width], relative position 0 in column `before`, or
// null. Block: 128, d at most that.
KERNEL attend_cached(
    float* out, const float* q, u32 q_stride, const Cached* queries, u32 type, u32 d, float scale, const float* bias,
    u32 width, u32 before, const float* vectors, u32 reach
) {
    __shared__ float p[CHUNK];
    __shared__ float scratch[WARP];
    __shared__ float parts[128];
    Cached s = queries[blockIdx.x];
    u32 heads = gridDim.y, head = blockIdx.y, keys = s.first_keys + s.own_keys;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    u64 inner = (u64)heads * d, stride = 2 * inner * (type == STORED_BF16 ? 2 : 4);
    q += (u64)blockIdx.x * q_stride + head * d;
    if (bias) bias += (u64)head * width;
    // Groups of threads share the keys, each thread has a column of the output.
    u32 groups = blockDim.x / d, group = threadIdx.x / d, column = threadIdx.x % d;
    float largest = -infinity(), sum = 0.0f, acc = 0.0f;
    for (u32 first = 0; first < keys; first += CHUNK) {
        u32 here = keys - first < CHUNK ? keys - first : CHUNK;
        // The last chunk's have been used.
        __syncthreads();
        for (u32 i = warp; i < here; i += warps) {
            const char* k = cached_row(s, first + i, stride);
            float product = 0.0f;
            const float* r = vectors ? beside_key(vectors, reach, s.position, first + i, d) : vectors;
            for (u32 c = lane; c < d; c += WARP) {
                product += q[c] * (kept(k, type, head * d + c) + (r ? r[c] : 0.0f));
            }
            product = warp_sum(product);
            if (lane == 0) p[i] = scale * product + (bias ? bias[before + first + i - s.position] : 0.0f);
        }
        __syncthreads();
        float top = -infinity();
        for (u32 i = threadIdx.x; i < here; i += blockDim.x) top = fmaxf(top, p[i]);
        top = fmaxf(largest, block_max(top, scratch));
        float shift = top == -infinity() ? 0.0f : top, part = 0.0f;
        for (u32 i = threadIdx.x; i < here; i += blockDim.x) {
            p[i] = expf(p[i] - shift);
            part += p[i];
        }
        float factor = expf(largest - shift);
        sum = sum * factor + block_sum(part, scratch);
        acc *= factor;
        largest = top;
        // block_sum has waited for all of p.
        if (group < groups) {
            for (u32 i = group; i < here; i += groups) {
                float v = kept(cached_row(s, first + i, stride), type, inner + head * d + column);
                if (vectors) v += beside_key(vectors, reach, s.position, first + i, d)[column];
                acc += p[i] * v;
            }
        }
    }
    __syncthreads();
    parts[threadIdx.x] = acc;
    __syncthreads();
    if (group == 0) {
        for (u32 g = 1; g < groups; g++) acc += parts[g * d + column];
        out[(u64)blockIdx.x * inner + head * d + column] = sum == 0.0f ? 0.0f : acc / sum;
    }
}
