// Attention over packed sequences, forwards and backwards, tile by tile: nothing of size queries × keys leaves a block.
//
// A block is some queries (or, for the derivatives by keys and values, some keys) of a span and one head; the grid is
// [those of all spans, heads]. Scores are scale·q·kᵀ + bias by relative position (or
// keys and values have vectors by relative position beside them); a query sees the first
// min(keys, max(prefix, position + 1)) keys. Forwards the softmax is summed as the keys pass by; backwards probabilities
// are computed again from the logarithm of its denominator.

// Copies `count` rows into shared memory, d + 1 apart; zeros in the place of others up to `room`.
__device__ void load(float* to, Rows from, u32 first, u32 count, u32 room, u32 d) {
    for (u32 i = threadIdx.x; i < room * d; i += blockDim.x) {
        u32 row = i / d, c = i % d;
        float x = row < count ? from.data[(u64)(first + row) * from.stride + c] : 0.0f;
        to[row * (d + 1) + c] = x;
    }
}

__device__ float dot(const float* a, const float* b, u32 d) {
    float sum = 0.0f;
    for (u32 c = 0; c < d; c++) sum += a[c] * b[c];
    return sum;
}

// What lies beside a key and its value for a query at `position`; null where nothing does.
__device__ const float* beside(Scores s, u32 position, u32 key, u32 d) {
    return s.vectors ? beside_key(s.vectors, s.reach, position, key, d) : s.vectors;
}

// q·(k + what is beside it).
__device__ float product(Scores s, const float* q, const float* k, u32 position, u32 key, u32 d) {
    const float* r = beside(s, position, key, d);
    return dot(q, k, d) + (r ? dot(q, r, d) : 0.0f);
}

// COLUMNS: columns of the output a thread has, 16 apart; d is 16 · COLUMNS at most.
template <int COLUMNS>
__device__ void forward(float* out, float* lse, Rows q, Rows k, Rows v, Queries b, Scores s, u32 d) {
    DYNAMIC_SHARED(shared);
    float* qs = shared;
    float* kv = qs + QUERIES * (d + 1);
    float* ps = kv + KEYS * (d + 1);
    float* largest = ps + QUERIES * (KEYS + 1);
    float* sums = largest + QUERIES;
    float* factors = sums + QUERIES;
    u32 heads = gridDim.y, tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    float acc[4][COLUMNS];
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < COLUMNS; j++) acc[i][j] = 0.0f;
    load(qs, q, b.first, b.count, QUERIES, d);
    if (threadIdx.x < QUERIES) {
        largest[threadIdx.x] = -infinity();
        sums[threadIdx.x] = 0.0f;
    }
    u32 last = seen_by(b.position + b.row + b.count - 1, b.prefix, b.keys);
    for (u32 first = 0; first < last; first += KEYS) {
        u32 here = last - first < KEYS ? last - first : KEYS;
        __syncthreads();
        load(kv, k, b.first_key + first, here, KEYS, d);
        __syncthreads();
        for (u32 i = 0; i < 4; i++) {
            u32 row = ty + SIDE * i, position = b.position + b.row + row;
            u32 seen = row < b.count ? seen_by(position, b.prefix, b.keys) : 0;
            for (u32 j = tx; j < KEYS; j += SIDE) {
                float x = -infinity();
                if (first + j < seen) {
                    float of = product(s, qs + row * (d + 1), kv + j * (d + 1), position, first + j, d);
                    x = score(s, of, position, first + j);
                }
                ps[row * (KEYS + 1) + j] = x;
            }
        }
        __syncthreads();
        load(kv, v, b.first_key + first, here, KEYS, d);
        soften(ps, largest, sums, factors, b, s, first);
        __syncthreads();
        for (u32 i = 0; i < 4; i++) {
            u32 row = ty + SIDE * i;
            for (u32 j = 0; j < COLUMNS; j++) acc[i][j] *= factors[row];
            for (u32 key = 0; key < here; key++) {
                float w = ps[row * (KEYS + 1) + key];
                const float* r = beside(s, b.position + b.row + row, first + key, d);
                for (u32 j = 0; j < COLUMNS; j++) {
                    u32 c = tx + SIDE * j;
                    if (c < d) acc[i][j] += w * (kv[key * (d + 1) + c] + (r ? r[c] : 0.0f));
                }
            }
        }
    }
    __syncthreads();
    for (u32 i = 0; i < 4; i++) {
        u32 row = ty + SIDE * i;
        if (row >= b.count) continue;
        float sum = sums[row], by = sum == 0.0f ? 0.0f : 1.0f / sum;
        for (u32 j = 0; j < COLUMNS; j++) {
            u32 c = tx + SIDE * j;
            if (c < d) out[((u64)(b.first + row) * heads + blockIdx.y) * d + c] = acc[i][j] * by;
        }
        if (lse && tx == 0) lse[(u64)(b.first + row) * heads + blockIdx.y] = largest[row] + logf(sum);
    }
}

// out: [rows, heads · d], lse: [rows, heads] or null; q, k, v: from the first head's first column on, rows by strides.
// Block: 256, shared: (64 + 32)·(d + 1) + 64·33 + 192 floats.
KERNEL attention(
    float* out, float* lse, const float* q, u32 q_stride, const float* k, u32 k_stride, const float* v, u32 v_stride,
    const Queries* blocks, u32 d, float scale, const float* bias, u32 width, u32 before,
    const float* vectors, u32 reach, u64 key, u32 threshold, float kept
) {
    Queries b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, vectors, reach, key, threshold, kept, b.span);
    Rows qs = rows_of(q, q_stride, d), ks = rows_of(k, k_stride, d), vs = rows_of(v, v_stride, d);
    if (d <= 64) {
        forward<4>(out, lse, qs, ks, vs, b, s, d);
    } else {
        forward<8>(out, lse, qs, ks, vs, b, s, d);
    }
}

// delta = Σ out·dout of every row and head: [rows · heads]. A warp each.
KERNEL attention_delta(float* delta, const float* out, const float* dout, u32 d, u32 count) {
    u64 i = here() / WARP;
    u32 lane = threadIdx.x % WARP;
    float sum = 0.0f;
    if (i < count) {
        for (u32 c = lane; c < d; c += WARP) sum += out[i * d + c] * dout[i * d + c];
    }
    sum = warp_sum(sum);
    if (i < count && lane == 0) delta[i] = sum;
}

// The same from the rows of a query, a key and its value, and a derivative.
__device__ Back back_of(
    const float* q, const float* k, const float* v, const float* dout, Scores s, u32 position, u32 key, u64 number,
    float lse, float delta, u32 d
) {
    const float* r = beside(s, position, key, d);
    float by_value = dot(dout, v, d) + (r ? dot(dout, r, d) : 0.0f);
    return back(s, product(s, q, k, position, key, d), by_value, position, key, number, lse, delta);
}

// ROWS: queries of a block, or of a tile.
template <int COLUMNS, int ROWS>
__device__ void backward_queries(
    float* dq, u32 dq_stride, float* by_bucket, const u32* buckets, u32 num_buckets, Rows q, Rows k, Rows v, Rows dout,
    const float* lse, const float* delta, Queries b, Scores s, u32 d
) {
    DYNAMIC_SHARED(shared);
    float* qs = shared;
    float* os = qs + ROWS * (d + 1);
    float* ks = os + ROWS * (d + 1);
    float* vs = ks + KEYS * (d + 1);
    float* ds = vs + KEYS * (d + 1);
    u32 heads = gridDim.y, tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    float acc[ROWS / SIDE][COLUMNS], sum_of_bucket = 0.0f;
    for (u32 i = 0; i < ROWS / SIDE; i++)
        for (u32 j = 0; j < COLUMNS; j++) acc[i][j] = 0.0f;
    load(qs, q, b.first, b.count, ROWS, d);
    load(os, dout, b.first, b.count, ROWS, d);
    u32 last = seen_by(b.position + b.row + b.count - 1, b.prefix, b.keys);
    for (u32 first = 0; first < last; first += KEYS) {
        u32 here = last - first < KEYS ? last - first : KEYS;
        __syncthreads();
        load(ks, k, b.first_key + first, here, KEYS, d);
        load(vs, v, b.first_key + first, here, KEYS, d);
        __syncthreads();
        for (u32 i = 0; i < ROWS / SIDE; i++) {
            u32 row = ty + SIDE * i, position = b.position + b.row + row;
            u32 seen = row < b.count ? seen_by(position, b.prefix, b.keys) : 0;
            u64 at = (u64)(b.first + row) * heads + blockIdx.y, number = (u64)(b.row + row) * b.keys + first;
            for (u32 j = tx; j < KEYS; j += SIDE) {
                float x = 0.0f;
                if (first + j < seen) {
                    x = back_of(
                            qs + row * (d + 1), ks + j * (d + 1), vs + j * (d + 1), os + row * (d + 1), s, position,
                            first + j, number + j, lse[at], delta[at], d
                    ).derivative;
                }
                ds[row * (KEYS + 1) + j] = x;
            }
        }
        __syncthreads();
        for (u32 i = 0; i < ROWS / SIDE; i++) {
            u32 row = ty + SIDE * i;
            for (u32 key = 0; key < here; key++) {
                float w = ds[row * (KEYS + 1) + key];
                const float* r = beside(s, b.position + b.row + row, first + key, d);
                for (u32 j = 0; j < COLUMNS; j++) {
                    u32 c = tx + SIDE * j;
                    if (c < d) acc[i][j] += w * (ks[key * (d + 1) + c] + (r ? r[c] : 0.0f));
                }
            }
        }
        if (by_bucket) sum_of_bucket += of_bucket<ROWS>(ds, buckets, num_buckets, s, b.position + b.row, first);
    }
    for (u32 i = 0; i < ROWS / SIDE; i++) {
        u32 row = ty + SIDE * i;
        if (row >= b.count) continue;
        for (u32 j = 0; j < COLUMNS; j++) {
            u32 c = tx + SIDE * j;
            if (c < d) dq[(u64)(b.first + row) * dq_stride + blockIdx.y * d + c] = acc[i][j] * s.scale;
        }
    }
    if (by_bucket && threadIdx.x < num_buckets) {
        by_bucket[((u64)blockIdx.x * heads + blockIdx.y) * num_buckets + threadIdx.x] = sum_of_bucket;
    }
}

// The derivatives by queries, overwritten, and by the bias a block, head and bucket: by_bucket: [blocks, heads,
// num_buckets] or null; buckets: [width]; rows: queries of a block, 32 or, with d above 64, 16. Block: 256, at least
// num_buckets; shared: 2·(rows + 32)·(d + 1) + rows·33 floats.
KERNEL attention_backward_queries(
    float* dq, u32 dq_stride, float* by_bucket, const u32* buckets, u32 num_buckets, const float* q, u32 q_stride,
    const float* k, u32 k_stride, const float* v, u32 v_stride, const float* dout, const float* lse, const float* delta,
    const Queries* blocks, u32 d, u32 rows, float scale, const float* bias, u32 width, u32 before,
    const float* vectors, u32 reach, u64 key, u32 threshold, float kept
) {
    Queries b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, vectors, reach, key, threshold, kept, b.span);
    Rows qs = rows_of(q, q_stride, d), ks = rows_of(k, k_stride, d), vs = rows_of(v, v_stride, d);
    Rows os = rows_of(dout, gridDim.y * d, d);
    if (d <= 64) {
        backward_queries<4, 32>(dq, dq_stride, by_bucket, buckets, num_buckets, qs, ks, vs, os, lse, delta, b, s, d);
    } else if (rows == 32) {
        backward_queries<8, 32>(dq, dq_stride, by_bucket, buckets, num_buckets, qs, ks, vs, os, lse, delta, b, s, d);
    } else {
        backward_queries<8, 16>(dq, dq_stride, by_bucket, buckets, num_buckets, qs, ks, vs, os, lse, delta, b, s, d);
    }
}

template <int COLUMNS, int ROWS>
__device__ void backward_keys(
    float* dk, u32 dk_stride, float* dv, u32 dv_stride, Rows q, Rows k, Rows v, Rows dout, const float* lse,
    const float* delta, Keys b, Scores s, u32 d
) {
    DYNAMIC_SHARED(shared);
    float* ks = shared;
    float* vs = ks + KEYS * (d + 1);
    float* qs = vs + KEYS * (d + 1);
    float* os = qs + ROWS * (d + 1);
    float* ps = os + ROWS * (d + 1);
    float* ds = ps + ROWS * (KEYS + 1);
    u32 heads = gridDim.y, tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    float by_key[KEYS / SIDE][COLUMNS], by_value[KEYS / SIDE][COLUMNS];
    for (u32 i = 0; i < KEYS / SIDE; i++)
        for (u32 j = 0; j < COLUMNS; j++) by_key[i][j] = by_value[i][j] = 0.0f;
    load(ks, k, b.first, b.count, KEYS, d);
    load(vs, v, b.first, b.count, KEYS, d);
    for (u32 from = 0; from < b.queries; from += ROWS) {
        u32 rows = b.queries - from < ROWS ? b.queries - from : ROWS;
        // None of these queries sees any of these keys.
        if (seen_by(b.position + from + rows - 1, b.prefix, b.keys) <= b.key) continue;
        __syncthreads();
        load(qs, q, b.first_query + from, rows, ROWS, d);
        load(os, dout, b.first_query + from, rows, ROWS, d);
        __syncthreads();
        for (u32 i = 0; i < ROWS / SIDE; i++) {
            u32 row = ty + SIDE * i, position = b.position + from + row;
            u32 seen = row < rows ? seen_by(position, b.prefix, b.keys) : 0;
            u64 at = (u64)(b.first_query + from + row) * heads + blockIdx.y;
            u64 number = (u64)(from + row) * b.keys + b.key;
            for (u32 j = tx; j < KEYS; j += SIDE) {
                Back x;
                x.dropped = x.derivative = 0.0f;
                if (j < b.count && b.key + j < seen) {
                    x = back_of(
                        qs + row * (d + 1), ks + j * (d + 1), vs + j * (d + 1), os + row * (d + 1), s, position, b.key + j,
                        number + j, lse[at], delta[at], d
                    );
                }
                ps[row * (KEYS + 1) + j] = x.dropped;
                ds[row * (KEYS + 1) + j] = x.derivative;
            }
        }
        __syncthreads();
        for (u32 i = 0; i < KEYS / SIDE; i++) {
            u32 key = ty + SIDE * i;
            for (u32 row = 0; row < rows; row++) {
                float p = ps[row * (KEYS + 1) + key], x = ds[row * (KEYS + 1) + key];
                for (u32 j = 0; j < COLUMNS; j++) {
                    u32 c = tx + SIDE * j;
                    if (c >= d) continue;
                    by_key[i][j] += x * qs[row * (d + 1) + c];
                    by_value[i][j] += p * os[row * (d + 1) + c];
                }
            }
        }
    }
    for (u32 i = 0; i < KEYS / SIDE; i++) {
        u32 key = ty + SIDE * i;
        if (key >= b.count) continue;
        for (u32 j = 0; j < COLUMNS; j++) {
            u32 c = tx + SIDE * j;
            if (c >= d) continue;
            dk[(u64)(b.first + key) * dk_stride + blockIdx.y * d + c] = by_key[i][j] * s.scale;
            dv[(u64)(b.first + key) * dv_stride + blockIdx.y * d + c] = by_value[i][j];
        }
    }
}

// The derivatives by keys and values, overwritten; rows: queries of a tile, as above. Block: 256, shared:
// 2·(rows + 32)·(d + 1) + 2·rows·33 floats.
KERNEL attention_backward_keys(
    float* dk, u32 dk_stride, float* dv, u32 dv_stride, const float* q, u32 q_stride, const float* k, u32 k_stride,
    const float* v, u32 v_stride, const float* dout, const float* lse, const float* delta, const Keys* blocks, u32 d,
    u32 rows, float scale, const float* bias, u32 width, u32 before, const float* vectors, u32 reach, u64 key,
    u32 threshold, float kept
) {
    Keys b = blocks[blockIdx.x];
    Scores s = scores_of(scale, bias, width, before, vectors, reach, key, threshold, kept, b.span);
    Rows qs = rows_of(q, q_stride, d), ks = rows_of(k, k_stride, d), vs = rows_of(v, v_stride, d);
    Rows os = rows_of(dout, gridDim.y * d, d);
    if (d <= 64) {
        backward_keys<4, 32>(dk, dk_stride, dv, dv_stride, qs, ks, vs, os, lse, delta, b, s, d);
    } else if (rows == 32) {
        backward_keys<8, 32>(dk, dk_stride, dv, dv_stride, qs, ks, vs, os, lse, delta, b, s, d);
    } else {
        backward_keys<8, 16>(dk, dk_stride, dv, dv_stride, qs, ks, vs, os, lse, delta, b, s, d);
    }
}

// The bias written out for every head and relative position: [heads, width]. weight: [num_buckets, heads].
KERNEL bias_table(
    float* table, const void* weight, const float* scales, u32 type, const u32* buckets, u32 heads, u32 width
) {
    for (u64 i = here(); i < (u64)heads * width; i += everyone()) {
        u64 bucket = buckets[i % width];
        table[i] = stored(weight, scales, type, bucket, (u32)(i / width), heads);
    }
}

// gradient += the derivatives by bucket of all blocks, block after block. gradient: [num_buckets, heads].
KERNEL add_by_bucket(float* gradient, const float* by_bucket, u32 blocks, u32 heads, u32 num_buckets) {
    u64 i = here();
    if (i >= (u64)heads * num_buckets) return;
    u64 head = i % heads, bucket = i / heads;
    float sum = 0.0f;
    for (u64 b = 0; b < blocks; b++) sum += by_bucket[(b * heads + head) * num_buckets + bucket];
    gradient[i] += sum;
}
