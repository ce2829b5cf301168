// Attention with its products on tensor cores, forwards; otherwise as in attention.cu.

// TILES: of eight columns, that a warp has of the output; d is 16 · TILES at most.
template <int TILES>
__device__ void forward(float* out, float* lse, Halves q, Halves k, Halves v, Queries b, Scores s, u32 d) {
    DYNAMIC_SHARED(shared);
    u32 wide = (d + 15) / 16 * 16, stride = wide + 8, tiles = wide / 16;
    float* ps = shared;
    float* largest = ps + QUERIES * (KEYS + 1);
    float* sums = largest + QUERIES;
    float* factors = sums + QUERIES;
    u16* qs = (u16*)(factors + QUERIES);
    u16* kv = qs + QUERIES * stride;
    u32 heads = gridDim.y;
    Lane l = lane();
    float acc[TILES][4];
    for (u32 t = 0; t < TILES; t++)
        for (u32 i = 0; i < 4; i++) acc[t][i] = 0.0f;
    load_bf16(qs, q, b.first, b.count, QUERIES, d, wide, stride);
    if (threadIdx.x < QUERIES) {
        largest[threadIdx.x] = -infinity();
        sums[threadIdx.x] = 0.0f;
    }
    u32 last = seen_by(b.position + b.row + b.count - 1, b.prefix, b.keys);
    for (u32 first = 0; first < last; first += KEYS) {
        u32 here = last - first < KEYS ? last - first : KEYS;
        __syncthreads();
        load_bf16(kv, k, b.first_key + first, here, KEYS, d, wide, stride);
        __syncthreads();
        float c[2][4];
        multiply_rows(c, qs, kv, wide, stride, l);
        for (u32 i = 0; i < 8; i++) {
            u32 r = row_of(l, i % 4), j = column_of(l, 2 * l.half + i / 4, i % 4), position = b.position + b.row + r;
            u32 seen = r < b.count ? seen_by(position, b.prefix, b.keys) : 0;
            ps[r * (KEYS + 1) + j] = first + j < seen ? score(s, c[i / 4][i % 4], position, first + j) : -infinity();
        }
        __syncthreads();
        load_bf16(kv, v, b.first_key + first, here, KEYS, d, wide, stride);
        soften(ps, largest, sums, factors, b, s, first);
        __syncthreads();
        for (u32 t = 0; t < TILES; t++)
            for (u32 i = 0; i < 4; i++) acc[t][i] *= factors[row_of(l, i)];
        add_product<TILES>(acc, ps, kv, tiles, stride, l);
    }
    __syncthreads();
    for (u32 i = 0; i < 4; i++) {
        u32 r = row_of(l, i);
        if (r >= b.count) continue;
        float sum = sums[r], by = sum == 0.0f ? 0.0f : 1.0f / sum;
        u64 at = (u64)(b.first + r) * heads + blockIdx.y;
        for (u32 t = 0; t < TILES; t++) {
            u32 c = column_of(l, l.half * tiles + t, i);
            if (t < tiles && c < d) out[at * d + c] = acc[t][i] * by;
        }
        if (lse && l.half == 0 && l.member == 0 && i % 2 == 0) lse[at] = largest[r] + logf(sum);
    }
}

// As `attention` from tensors in bf16, on compute capability 8.0 or newer. Block: 256, shared: 64·33 + 192 floats and
// 96·(d to a multiple of 16, + 8) bf16.
KERNEL attention_bf16(
    float* out, float* lse, const u16* q, u32 q_stride, const u16* k, u32 k_stride, const u16* v, u32 v_stride,
    const Queries* blocks, u32 d, float scale, const float* bias, u32 width, u32 before, u64 key, u32 threshold, float kept
) {
    Queries b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, 0, 0, key, threshold, kept, b.span);
    Halves qs = halves_of(q, q_stride, d), ks = halves_of(k, k_stride, d), vs = halves_of(v, v_stride, d);
    if (d <= 64) {
        forward<4>(out, lse, qs, ks, vs, b, s, d);
    } else {
        forward<8>(out, lse, qs, ks, vs, b, s, d);
    }
}
