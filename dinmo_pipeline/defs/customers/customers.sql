-- "Today" is the last order that the data holds, so that the same data gives the same customers on any day.
WITH today AS (
    SELECT max(ordered_at) AS ordered_at FROM models.orders
),

spending AS (
    SELECT
        customer_id,
        count(*) AS orders,
        sum(amount)::DECIMAL(12, 2) AS lifetime_value,
        max(ordered_at) AS last_order_at
    FROM models.orders
    GROUP BY customer_id
),

departments AS (
    SELECT
        orders.customer_id,
        products.department,
        sum(items.amount) AS amount
    FROM models.orders AS orders
    JOIN entities.ordersitems AS items ON items.order = orders.order_id
    JOIN entities.products AS products ON products.product_id = items.product
    GROUP BY ALL
),

favourites AS (
    -- The name breaks ties: two runs over the same data must not differ.
    SELECT
        customer_id,
        list(department ORDER BY amount DESC, department)[1:3] AS favourite_departments
    FROM departments
    GROUP BY customer_id
)

SELECT
    spending.customer_id,
    spending.orders,
    spending.lifetime_value,
    spending.last_order_at,
    CASE
        WHEN spending.last_order_at >= today.ordered_at - INTERVAL 30 DAY THEN 'active'
        WHEN spending.last_order_at >= today.ordered_at - INTERVAL 60 DAY THEN 'cooling'
        WHEN spending.last_order_at >= today.ordered_at - INTERVAL 90 DAY THEN 'lapsed'
        ELSE 'lost'
    END AS stage,
    favourites.favourite_departments,
    favourites.favourite_departments[1] AS favourite_department,
    contacts.age AS age_group,
    contacts.income AS income_group,
    contacts.household_size,
    contacts.kids_count
FROM spending
CROSS JOIN today
LEFT JOIN favourites USING (customer_id)
LEFT JOIN entities.contacts AS contacts ON contacts.household_id = spending.customer_id
