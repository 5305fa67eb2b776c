tests! {}
