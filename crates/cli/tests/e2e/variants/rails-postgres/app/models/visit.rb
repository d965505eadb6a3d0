# In a database of its own.
class Visit < VisitsRecord
end
