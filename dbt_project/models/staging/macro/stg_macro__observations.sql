with source as (

    select * from {{ source('bronze', 'macro_series') }}

),

renamed as (

    select
        series_id,
        observation_date,
        publication_date,
        vintage_date,
        value,
        _batch
    from source

)

select * from renamed
