ActiveRecord::Schema[7.2].define(version: 1) do
  create_table "visits", force: :cascade do |t|
    t.datetime "created_at", null: false
  end
end
