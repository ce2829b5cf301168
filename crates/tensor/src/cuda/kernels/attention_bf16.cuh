// What attention on tensor cores shares, forwards and backwards: rows in bf16, and products of a block's tiles with sums in
// f32.
// A block shares products with QUERIES rows out as tensor_cores.cuh says.

// Where a head's rows of a tensor in bf16 lie.
struct Halves {
    const u16* data;
    u32 stride;
};

__device__ Halves halves_of(const u16* data, u32 stride, u32 d) {
    Halves rows;
    rows.data = data + blockIdx.y * d;
    rows.stride = stride;
    return rows;
}

// Copies `count` rows into shared memory, `stride` apart; zeros in the place of other rows up to `room`, and of columns
// from d on up to `wide`.
__device__ void load_bf16(u16* to, Halves from, u32 first, u32 count, u32 room, u32 d, u32 wide, u32 stride) {
    // Eight at a time where they all lie so.
    u32 step = (u64)from.data % 16 == 0 && from.stride % 8 == 0 && d % 8 == 0 ? 8 : 1;
    for (u32 i = threadIdx.x * step; i < room * wide; i += blockDim.x * step) {
        u32 row = i / wide, c = i % wide;
        bool inside = row < count && c < d;
        const u16* at = from.data + (u64)(first + row) * from.stride + c;
        u16* place = to + row * stride + c;
        if (step == 8) {
            float4 zero = {0.0f, 0.0f, 0.0f, 0.0f};
            *(float4*)place = inside ? *(const float4*)at : zero;
        } else {
            *place = inside ? *at : (u16)0;
        }
    }
}

// c = a·bᵀ, [QUERIES, KEYS]: a: [QUERIES, wide], b: [KEYS, wide], rows `stride` apart; c: a lane's of its half's two tiles.
__device__ void multiply_rows(float (*c)[4], const u16* a, const u16* b, u32 wide, u32 stride, Lane l) {
    for (u32 tile = 0; tile < 2; tile++) {
        for (u32 i = 0; i < 4; i++) c[tile][i] = 0.0f;
        for (u32 depth = 0; depth < wide; depth += 16) {
            u32 x[4], w[2];
            left_factor(x, a + depth, stride, l);
            right_factor(w, b + (2 * l.half + tile) * 8 * stride + depth, stride, l);
            mma_bf16(c[tile], x, w);
        }
    }
}

// acc += p·b, [QUERIES, 16 · tiles]: p: [QUERIES, KEYS + 1], of which all but the last column are rounded and taken, b:
// [KEYS, ..], rows `stride` apart; acc: a lane's of its half's tiles, TILES at most.
template <int TILES>
__device__ void add_product(float (*acc)[4], const float* p, const u16* b, u32 tiles, u32 stride, Lane l) {
    for (u32 depth = 0; depth < KEYS; depth += 16) {
        u32 x[4];
        for (u32 i = 0; i < 4; i++) {
            const float* left = p + (l.row + i % 2 * 8) * (KEYS + 1) + depth + i / 2 * 8 + 2 * l.member;
            x[i] = pair_of(f32_to_bf16(left[0]), f32_to_bf16(left[1]));
        }
        for (u32 t = 0; t < TILES; t++) {
            if (t >= tiles) break;
            const u16* right = b + (depth + 2 * l.member) * stride + (l.half * tiles + t) * 8 + l.group;
            u32 w[2];
            for (u32 i = 0; i < 2; i++) w[i] = pair_of(right[i * 8 * stride], right[(i * 8 + 1) * stride]);
            mma_bf16(acc[t], x, w);
        }
    }
}
