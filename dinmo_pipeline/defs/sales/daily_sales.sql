SELECT
    receipts.transaction_timestamp::DATE AS sold_on,
    coalesce(products.department, 'UNKNOWN') AS department,
    count(DISTINCT receipts.basket_id) AS orders,
    sum(receipts.quantity)::BIGINT AS units,
    sum(receipts.sales_value::DECIMAL(12, 2))::DECIMAL(12, 2) AS revenue,
    sum((receipts.retail_disc + receipts.coupon_disc + receipts.coupon_match_disc)::DECIMAL(12, 2))::DECIMAL(12, 2) AS discounts
FROM read_parquet('data/receipts/*.parquet') AS receipts
LEFT JOIN read_parquet('data/products.parquet') AS products USING (product_id)
GROUP BY ALL
