// Attention forwards with its products on tensor cores, from factors rounded to bf16 with sums in f32; otherwise as in
// attention.cu.

// Copies `count` rows into shared memory in bf16, `stride` apart; zeros in the place of other rows up to `room`, and of
// columns from d on up to `wide`.
__device__ void load_bf16(u16* to, Rows from, u32 first, u32 count, u32 room, u32 d, u32 wide, u32 stride) {
    for (u32 i = threadIdx.x; i < room * wide; i += blockDim.x) {
        u32 row = i / wide, c = i % wide;
        float x = row < count && c < d ? from.data[(u64)(first + row) * from.stride + c] : 0.0f;
        to[row * stride + c] = f32_to_bf16(x);
    }
}

// Eight warps: four take sixteen queries each, and of these two halves of the keys, later of the output's columns.
// TILES: of eight columns, that a warp has of the output; d is 16 · TILES at most.
template <int TILES>
__device__ void forward(float* out, float* lse, Rows q, Rows k, Rows v, Queries b, Scores s, u32 d) {
    DYNAMIC_SHARED(shared);
    u32 wide = (d + 15) / 16 * 16, stride = wide + 8, tiles = wide / 16;
    float* ps = shared;
    float* largest = ps + QUERIES * (KEYS + 1);
    float* sums = largest + QUERIES;
    float* factors = sums + QUERIES;
    u16* qs = (u16*)(factors + QUERIES);
    u16* kv = qs + QUERIES * stride;
    u32 heads = gridDim.y, warp = threadIdx.x / WARP, half = warp / 4;
    // This lane's place in the fragments: rows row and row + 8 of a and c, columns from 2 · member on, column `group` of b.
    u32 group = threadIdx.x % WARP / 4, member = threadIdx.x % 4, row = warp % 4 * 16 + group;
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
        for (u32 tile = 0; tile < 2; tile++) {
            u32 from = half * 16 + tile * 8;
            float c[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            for (u32 depth = 0; depth < wide; depth += 16) {
                const u16* of_query = qs + row * stride + depth + 2 * member;
                const u16* of_key = kv + (from + group) * stride + depth + 2 * member;
                u32 x[4] = {pair(of_query), pair(of_query + 8 * stride), pair(of_query + 8), pair(of_query + 8 * stride + 8)};
                u32 w[2] = {pair(of_key), pair(of_key + 8)};
                mma_bf16(c, x, w);
            }
            for (u32 i = 0; i < 4; i++) {
                u32 r = row + i / 2 * 8, j = from + 2 * member + i % 2, position = b.position + b.row + r;
                u32 seen = r < b.count ? seen_by(position, b.prefix, b.keys) : 0;
                ps[r * (KEYS + 1) + j] = first + j < seen ? score(s, c[i], position, first + j) : -infinity();
            }
        }
        __syncthreads();
        load_bf16(kv, v, b.first_key + first, here, KEYS, d, wide, stride);
        soften(ps, largest, sums, factors, b, s, first);
        __syncthreads();
        for (u32 t = 0; t < TILES; t++)
            for (u32 i = 0; i < 4; i++) acc[t][i] *= factors[row + i / 2 * 8];
        for (u32 depth = 0; depth < KEYS; depth += 16) {
            u32 x[4];
            for (u32 i = 0; i < 4; i++) {
                const float* p = ps + (row + i % 2 * 8) * (KEYS + 1) + depth + i / 2 * 8 + 2 * member;
                x[i] = pair_of(f32_to_bf16(p[0]), f32_to_bf16(p[1]));
            }
            for (u32 t = 0; t < TILES; t++) {
                if (t >= tiles) break;
                const u16* of_value = kv + (depth + 2 * member) * stride + (half * tiles + t) * 8 + group;
                u32 w[2];
                for (u32 i = 0; i < 2; i++) w[i] = pair_of(of_value[i * 8 * stride], of_value[(i * 8 + 1) * stride]);
                mma_bf16(acc[t], x, w);
            }
        }
    }
    __syncthreads();
    for (u32 i = 0; i < 4; i++) {
        u32 r = row + i / 2 * 8;
        if (r >= b.count) continue;
        float sum = sums[r], by = sum == 0.0f ? 0.0f : 1.0f / sum;
        u64 at = (u64)(b.first + r) * heads + blockIdx.y;
        for (u32 t = 0; t < TILES; t++) {
            u32 c = (half * tiles + t) * 8 + 2 * member + i % 2;
            if (t < tiles && c < d) out[at * d + c] = acc[t][i] * by;
        }
        if (lse && half == 0 && member == 0 && i % 2 == 0) lse[at] = largest[r] + logf(sum);
    }
}

// As `attention`, on compute capability 8.0 or newer. Block: 256, shared: 64·33 + 192 floats and 96·(d to a multiple of 16,
// + 8) bf16.
KERNEL attention_bf16(
    float* out, float* lse, const float* q, u32 q_stride, const float* k, u32 k_stride, const float* v, u32 v_stride,
    const Queries* blocks, u32 d, float scale, const float* bias, u32 width, u32 before, u64 key, u32 threshold, float kept
) {
    Queries b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, 0, 0, key, threshold, kept, b.span);
    Rows qs = rows_of(q, q_stride, d, 1), ks = rows_of(k, k_stride, d, 1), vs = rows_of(v, v_stride, d, 1);
    if (d <= 64) {
        forward<4>(out, lse, qs, ks, vs, b, s, d);
    } else {
        forward<8>(out, lse, qs, ks, vs, b, s, d);
    }
}
