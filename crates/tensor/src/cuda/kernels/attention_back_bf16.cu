// The way back of attention with its products on tensor cores; otherwise as in attention.cu. Probabilities and
// derivatives by scores are made in f32 and rounded where they are multiplied further.

// As `attention_delta` from tensors in bf16.
KERNEL attention_bf16_delta(float* delta, const u16* out, const u16* dout, u32 d, u32 count) {
    u64 i = here() / WARP;
    u32 lane = threadIdx.x % WARP;
    float sum = 0.0f;
    if (i < count) {
        for (u32 c = lane; c < d; c += WARP) sum += bf16_to_f32(out[i * d + c]) * bf16_to_f32(dout[i * d + c]);
    }
    sum = warp_sum(sum);
    if (i < count && lane == 0) delta[i] = sum;
}

// Memory shared by a block: derivatives by scores, [QUERIES, KEYS + 1], before them the probabilities where they are
// wanted; then in bf16 QUERIES rows of two tensors, and KEYS rows of two others.
struct Held {
    float* ds;
    u16 *left, *right, *passing_left, *passing_right;
    u32 wide, stride, tiles;
};

__device__ Held shared_by(float* shared, u32 d) {
    Held m;
    m.wide = (d + 15) / 16 * 16;
    m.stride = m.wide + 8;
    m.tiles = m.wide / 16;
    m.ds = shared;
    m.left = (u16*)(shared + QUERIES * (KEYS + 1));
    m.right = m.left + QUERIES * m.stride;
    m.passing_left = m.right + QUERIES * m.stride;
    m.passing_right = m.passing_left + KEYS * m.stride;
    return m;
}

// A block's QUERIES queries, which keys pass by. TILES: of eight columns, that a warp has of the output; d is 16 · TILES at
// most.
template <int TILES>
__device__ void backward_queries(
    float* dq, u32 dq_stride, float* by_bucket, const u32* buckets, u32 num_buckets, Halves q, Halves k, Halves v, Halves dout,
    const float* lse, const float* delta, Queries b, Scores s, u32 d
) {
    DYNAMIC_SHARED(shared);
    Held m = shared_by(shared, d);
    Lane l = lane();
    u32 heads = gridDim.y;
    float acc[TILES][4], sum_of_bucket = 0.0f;
    for (u32 t = 0; t < TILES; t++)
        for (u32 i = 0; i < 4; i++) acc[t][i] = 0.0f;
    load_bf16(m.left, q, b.first, b.count, QUERIES, d, m.wide, m.stride);
    load_bf16(m.right, dout, b.first, b.count, QUERIES, d, m.wide, m.stride);
    u32 last = seen_by(b.position + b.row + b.count - 1, b.prefix, b.keys);
    for (u32 first = 0; first < last; first += KEYS) {
        u32 here = last - first < KEYS ? last - first : KEYS;
        __syncthreads();
        load_bf16(m.passing_left, k, b.first_key + first, here, KEYS, d, m.wide, m.stride);
        load_bf16(m.passing_right, v, b.first_key + first, here, KEYS, d, m.wide, m.stride);
        __syncthreads();
        float products[2][4], by_values[2][4];
        multiply_rows(products, m.left, m.passing_left, m.wide, m.stride, l);
        multiply_rows(by_values, m.right, m.passing_right, m.wide, m.stride, l);
        for (u32 i = 0; i < 8; i++) {
            u32 row = row_of(l, i % 4), j = column_of(l, 2 * l.half + i / 4, i % 4), position = b.position + b.row + row;
            u32 seen = row < b.count ? seen_by(position, b.prefix, b.keys) : 0;
            float x = 0.0f;
            if (first + j < seen) {
                u64 at = (u64)(b.first + row) * heads + blockIdx.y, number = (u64)(b.row + row) * b.keys + first + j;
                float product = products[i / 4][i % 4], by_value = by_values[i / 4][i % 4];
                x = back(s, product, by_value, position, first + j, number, lse[at], delta[at]).derivative;
            }
            m.ds[row * (KEYS + 1) + j] = x;
        }
        __syncthreads();
        add_product<TILES>(acc, m.ds, m.passing_left, m.tiles, m.stride, l);
        if (by_bucket) sum_of_bucket += of_bucket<QUERIES>(m.ds, buckets, num_buckets, s, b.position + b.row, first);
    }
    for (u32 i = 0; i < 4; i++) {
        u32 row = row_of(l, i);
        if (row >= b.count) continue;
        for (u32 t = 0; t < TILES; t++) {
            u32 c = column_of(l, l.half * m.tiles + t, i);
            if (t < m.tiles && c < d) dq[(u64)(b.first + row) * dq_stride + blockIdx.y * d + c] = acc[t][i] * s.scale;
        }
    }
    if (by_bucket && threadIdx.x < num_buckets) {
        by_bucket[((u64)blockIdx.x * heads + blockIdx.y) * num_buckets + threadIdx.x] = sum_of_bucket;
    }
}

// As `attention_backward_queries` from tensors in bf16, blocks of 64 queries, on compute capability 8.0 or newer.
// Block: 256, shared: 64·33 floats and 192·(d to a multiple of 16, + 8) bf16.
KERNEL attention_bf16_backward_queries(
    float* dq, u32 dq_stride, float* by_bucket, const u32* buckets, u32 num_buckets, const u16* q, u32 q_stride,
    const u16* k, u32 k_stride, const u16* v, u32 v_stride, const u16* dout, const float* lse, const float* delta,
    const Queries* blocks, u32 d, float scale, const float* bias, u32 width, u32 before, u64 key, u32 threshold, float kept
) {
    Queries b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, 0, 0, key, threshold, kept, b.span);
    Halves qs = halves_of(q, q_stride, d), ks = halves_of(k, k_stride, d), vs = halves_of(v, v_stride, d);
    Halves os = halves_of(dout, gridDim.y * d, d);
    if (d <= 64) {
        backward_queries<4>(dq, dq_stride, by_bucket, buckets, num_buckets, qs, ks, vs, os, lse, delta, b, s, d);
    } else {
        backward_queries<8>(dq, dq_stride, by_bucket, buckets, num_buckets, qs, ks, vs, os, lse, delta, b, s, d);
    }
}

// A block's keys, as many as QUERIES are, which queries pass by: rows are keys here, and columns queries.
template <int TILES>
__device__ void backward_keys(
    float* dk, u32 dk_stride, float* dv, u32 dv_stride, Halves q, Halves k, Halves v, Halves dout, const float* lse,
    const float* delta, Keys b, Scores s, u32 d
) {
    DYNAMIC_SHARED(shared);
    float* ps = shared;
    Held m = shared_by(shared + QUERIES * (KEYS + 1), d);
    Lane l = lane();
    u32 heads = gridDim.y;
    float by_key[TILES][4], by_value[TILES][4];
    for (u32 t = 0; t < TILES; t++)
        for (u32 i = 0; i < 4; i++) by_key[t][i] = by_value[t][i] = 0.0f;
    load_bf16(m.left, k, b.first, b.count, QUERIES, d, m.wide, m.stride);
    load_bf16(m.right, v, b.first, b.count, QUERIES, d, m.wide, m.stride);
    for (u32 from = 0; from < b.queries; from += KEYS) {
        u32 queries = b.queries - from < KEYS ? b.queries - from : KEYS;
        // None of these queries sees any of these keys.
        if (seen_by(b.position + from + queries - 1, b.prefix, b.keys) <= b.key) continue;
        __syncthreads();
        load_bf16(m.passing_left, q, b.first_query + from, queries, KEYS, d, m.wide, m.stride);
        load_bf16(m.passing_right, dout, b.first_query + from, queries, KEYS, d, m.wide, m.stride);
        __syncthreads();
        float products[2][4], by_values[2][4];
        multiply_rows(products, m.left, m.passing_left, m.wide, m.stride, l);
        multiply_rows(by_values, m.right, m.passing_right, m.wide, m.stride, l);
        for (u32 i = 0; i < 8; i++) {
            u32 row = row_of(l, i % 4), j = column_of(l, 2 * l.half + i / 4, i % 4), position = b.position + from + j;
            u32 seen = j < queries ? seen_by(position, b.prefix, b.keys) : 0;
            Back x;
            x.dropped = x.derivative = 0.0f;
            if (row < b.count && b.key + row < seen) {
                u64 at = (u64)(b.first_query + from + j) * heads + blockIdx.y, number = (u64)(from + j) * b.keys + b.key + row;
                float product = products[i / 4][i % 4], of_value = by_values[i / 4][i % 4];
                x = back(s, product, of_value, position, b.key + row, number, lse[at], delta[at]);
            }
            ps[row * (KEYS + 1) + j] = x.dropped;
            m.ds[row * (KEYS + 1) + j] = x.derivative;
        }
        __syncthreads();
        add_product<TILES>(by_key, m.ds, m.passing_left, m.tiles, m.stride, l);
        add_product<TILES>(by_value, ps, m.passing_right, m.tiles, m.stride, l);
    }
    for (u32 i = 0; i < 4; i++) {
        u32 row = row_of(l, i);
        if (row >= b.count) continue;
        for (u32 t = 0; t < TILES; t++) {
            u32 c = column_of(l, l.half * m.tiles + t, i);
            if (t >= m.tiles || c >= d) continue;
            dk[(u64)(b.first + row) * dk_stride + blockIdx.y * d + c] = by_key[t][i] * s.scale;
            dv[(u64)(b.first + row) * dv_stride + blockIdx.y * d + c] = by_value[t][i];
        }
    }
}

// As `attention_backward_keys` from tensors in bf16, blocks of 64 keys, on compute capability 8.0 or newer. Block: 256,
// shared: 2·64·33 floats and 192·(d to a multiple of 16, + 8) bf16.
KERNEL attention_bf16_backward_keys(
    float* dk, u32 dk_stride, float* dv, u32 dv_stride, const u16* q, u32 q_stride, const u16* k, u32 k_stride,
    const u16* v, u32 v_stride, const u16* dout, const float* lse, const float* delta, const Keys* blocks, u32 d,
    float scale, const float* bias, u32 width, u32 before, u64 key, u32 threshold, float kept
) {
    Keys b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, 0, 0, key, threshold, kept, b.span);
    Halves qs = halves_of(q, q_stride, d), ks = halves_of(k, k_stride, d), vs = halves_of(v, v_stride, d);
    Halves os = halves_of(dout, gridDim.y * d, d);
    if (d <= 64) {
        backward_keys<4>(dk, dk_stride, dv, dv_stride, qs, ks, vs, os, lse, delta, b, s, d);
    } else {
        backward_keys<8>(dk, dk_stride, dv, dv_stride, qs, ks, vs, os, lse, delta, b, s, d);
    }
}
