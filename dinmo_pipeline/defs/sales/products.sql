WITH today AS (
    SELECT max(transaction_timestamp)::DATE AS day FROM read_parquet('data/receipts/*.parquet')
),

recent AS (
    SELECT
        product_id,
        sum(quantity)::BIGINT AS units_sold,
        sum(sales_value::DECIMAL(12, 2))::DECIMAL(12, 2) AS revenue,
        max(transaction_timestamp)::DATE AS last_sold_on
    FROM read_parquet('data/receipts/*.parquet')
    WHERE transaction_timestamp >= (SELECT day FROM today) - INTERVAL 30 DAY
    GROUP BY product_id
)

SELECT
    product_id,
    products.product_type AS name,
    products.brand,
    products.department,
    products.product_category AS category,
    products.package_size,
    recent.units_sold,
    recent.revenue,
    recent.last_sold_on
FROM recent
JOIN read_parquet('data/products.parquet') AS products USING (product_id)
