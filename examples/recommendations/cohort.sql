-- The cohort: who rated what, with what is known of both. Bound: $source, $min_age, $min_ratings.
-- Everything is read as text and cast here, so that a column that changes its type is an error in this query.
WITH users AS (
    SELECT "user_id:token"::INTEGER AS user_id, "age:token"::INTEGER AS age, trim("zip_code:token") AS zip_code
    FROM read_csv($source || '/ml-100k.user', delim = '\t', quote = '', header = true, all_varchar = true)
),
films AS (
    SELECT "item_id:token"::INTEGER AS film_id, trim("movie_title:token_seq") AS title, trim("release_year:token") AS year
    FROM read_csv($source || '/ml-100k.item', delim = '\t', quote = '', header = true, all_varchar = true)
),
ratings AS (
    SELECT
        "user_id:token"::INTEGER AS user_id,
        "item_id:token"::INTEGER AS film_id,
        "rating:float"::FLOAT AS stars,
        "timestamp:float"::BIGINT AS rated_at
    FROM read_csv($source || '/ml-100k.inter', delim = '\t', quote = '', header = true, all_varchar = true)
)
SELECT user_id, zip_code, film_id, title, year, stars, rated_at
FROM ratings
JOIN users USING (user_id)
JOIN films USING (film_id)
WHERE age >= $min_age::INTEGER
QUALIFY count(*) OVER (PARTITION BY user_id) >= $min_ratings::INTEGER
ORDER BY user_id, rated_at, film_id
