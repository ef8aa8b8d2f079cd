-- What is known of each rating when it is given: of the user, of the film, of the moment. Bound: $source.
WITH users AS (
    SELECT
        "user_id:token"::INTEGER AS user_id,
        "age:token"::INTEGER AS age,
        "gender:token" AS gender,
        "occupation:token" AS occupation
    FROM read_csv($source || '/ml-100k.user', delim = '\t', quote = '', header = true, all_varchar = true)
),
films AS (
    SELECT
        "item_id:token"::INTEGER AS film_id,
        try_cast("release_year:token" AS INTEGER) AS year,
        coalesce("class:token_seq", '') AS genres
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
SELECT user_id, film_id, stars, rated_at, age, gender, occupation, year, genres
FROM ratings
JOIN users USING (user_id)
JOIN films USING (film_id)
WHERE year IS NOT NULL
ORDER BY rated_at, user_id, film_id
