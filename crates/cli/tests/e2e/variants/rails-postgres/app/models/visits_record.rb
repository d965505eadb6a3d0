class VisitsRecord < ApplicationRecord
  self.abstract_class = true
  connects_to database: { writing: :visits, reading: :visits }
end
